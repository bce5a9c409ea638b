"""The operator that a fresh site can be tried with."""

from dataclasses import dataclass
from pathlib import Path

from billing_site.embedded import state_dir
from billing_site.embedded.state import secret

USERNAME = "operator"


@dataclass(frozen=True)
class Operator:
    username: str
    password: str


def demo_operator(state: Path | None = None) -> Operator:
    """Name and password of the demo operator. The password is made once, in a file only its owner reads."""
    return Operator(USERNAME, secret((state or state_dir()) / "operator_password")[:20])


def create_if_first() -> None:
    """Give a database without any user the demo operator. A database that has users keeps its own."""
    from django.contrib.auth import get_user_model

    users = get_user_model().objects
    if not users.exists():
        operator = demo_operator()
        users.create_superuser(operator.username, password=operator.password)


def may_sign_in() -> bool:
    """Whether the demo operator exists and still has the password that we would print."""
    from django.contrib.auth import get_user_model

    operator = demo_operator()
    user = get_user_model().objects.filter(username=operator.username, is_active=True, is_staff=True).first()
    return user is not None and user.check_password(operator.password)
