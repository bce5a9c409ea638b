"""Who made a change: what the writing process said of itself, kept beside the history (a pghistory context).

A request says its user or its API key, a management command and a task their name. SQL from elsewhere says nothing:
"database".
"""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from pghistory.models import Context

DATABASE = "Database (SQL)"


def authors(contexts: Collection[UUID | None]) -> Mapping[UUID | None, str]:
    """Who stands behind each context, as text. Two queries at most."""
    said = dict(Context.objects.filter(pk__in=[each for each in contexts if each]).values_list("pk", "metadata"))
    users = get_user_model()._default_manager.in_bulk({about["user"] for about in said.values() if about.get("user")})
    named: dict[UUID | None, str] = dict.fromkeys(contexts, DATABASE)
    named.update({context: _author(about, users) for context, about in said.items()})
    return named


def _author(about: Mapping[str, Any], users: Mapping[Any, Any]) -> str:
    if user := about.get("user"):
        return users[user].get_username() if user in users else f"User {user}, deleted"
    if about.get("api_key"):
        return f"API key {about.get('api_key_name', about['api_key'])}"
    if command := about.get("command"):
        return f"Command {command}"
    if task := about.get("task"):
        return f"Task {task}"
    return DATABASE
