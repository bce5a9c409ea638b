"""Typed readers of the environment that fail loudly: a bad value names its variable and what it should be."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()

YES = ("true", "on", "yes", "1")
NO = ("false", "off", "no", "0", "")
POSTGRES = ("postgresql", "postgres")
REDIS = ("redis", "rediss", "unix")


def read_file(path: Path) -> None:
    """Take what a `.env` file says, where the environment itself says nothing."""
    environ.Env.read_env(path)


def whole(name: str, default: int) -> int:
    text = env.str(name, default=str(default))
    try:
        return int(text)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is “{text}”; it must be a whole number such as {default}.") from None


def decimal(name: str, default: float) -> float:
    text = env.str(name, default=str(default))
    try:
        return float(text)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is “{text}”; it must be a number such as {default}.") from None


def seconds(name: str, default: int) -> timedelta:
    return timedelta(seconds=whole(name, default))


def boolean(name: str, *, default: bool = False) -> bool:
    text = env.str(name, default="true" if default else "false").strip().lower()
    if text not in (*YES, *NO):
        raise ImproperlyConfigured(f"{name} is “{text}”; it must be true or false.")
    return text in YES


def one_of(name: str, allowed: tuple[str, ...], default: str) -> str:
    text = env.str(name, default=default)
    if text not in allowed:
        raise ImproperlyConfigured(f"{name} is “{text}”; it must be one of {', '.join(allowed)}.")
    return text


def address(name: str, schemes: tuple[str, ...]) -> str:
    """The address of a server, or "" when there is none. What is wrong with it is said without its password."""
    text = env.str(name, default="")
    if not text:
        return ""
    try:
        scheme = urlsplit(text).scheme if "://" in text else ""
    except ValueError:
        scheme = ""
    if scheme not in schemes:
        found = f"begins with {scheme}://" if scheme else "is no such address"
        raise ImproperlyConfigured(f"{name} must begin with {schemes[0]}://; what stands there {found}.")
    return text
