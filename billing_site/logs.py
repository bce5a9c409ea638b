"""What the processes log: one line per thing that happened, as JSON or for people, on standard error.

Keys never reach the log: values under secret names are left out, and whatever looks like a key or a bearer token is cut
to its prefix in the finished line, whoever wrote it, tracebacks included.
"""

import logging
import re
from collections.abc import MutableMapping
from logging import DEBUG, INFO
from typing import Any

import structlog

JSON = "json"
TEXT = "text"
FORMATS = (TEXT, JSON)
__all__ = ["DEBUG", "INFO", "configure", "logging_config", "redact"]

SECRET_NAMES = re.compile(r"authorization|secret|password|passwd|token|cookie|digest|api_?key$", re.IGNORECASE)
API_KEY = re.compile(r"\b(tb_[a-z0-9]{12}_)[A-Za-z0-9_-]+")
BEARER = re.compile(r"(bearer\s+)(?!tb_)[^\s\"',]+", re.IGNORECASE)
# Bounded, since a request may name an address as long as it likes.
URL_PASSWORD = re.compile(r"\b([a-z][a-z0-9+]{0,20}://[^\s/:@]{0,100}:)[^\s/@]{1,200}@", re.IGNORECASE)

Event = MutableMapping[str, Any]


def without_secrets(logger: Any, method: str, event: Event) -> Event:
    """A structlog processor: leave out values whose name says that they are secret."""
    return {name: "[left out]" if SECRET_NAMES.search(name) else value for name, value in event.items()}


def redact(line: str) -> str:
    """The line without keys, bearer tokens and passwords in addresses."""
    line = API_KEY.sub(r"\1…", line)
    line = BEARER.sub(r"\1…", line)
    return URL_PASSWORD.sub(r"\1…@", line)


class RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """The last thing that sees a line before it is written."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class Raised(logging.Filter):
    """What fails in a pipeline is raised; that nothing sent after it was done either is no news."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("error ignored terminating")


_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    without_secrets,
]


def configure() -> None:
    """Send structlog's events through the standard logging, where everybody else's lines are."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def logging_config(form: str, level: str) -> dict[str, Any]:
    """Django's LOGGING for a form ("json" or "text") and a level such as "INFO"."""
    last: list[Any] = [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
    if form == TEXT:
        last = [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": RedactingFormatter,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *last,
                ],
                "foreign_pre_chain": _SHARED,
            }
        },
        "filters": {"raised": {"()": Raised}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django": {"handlers": [], "level": level, "propagate": True},
            # Each request is told once, by the structlog middleware.
            "django.request": {"level": "CRITICAL"},
            "django.server": {"handlers": [], "level": "WARNING", "propagate": True},
            # Each task is told by structlog's receivers, failures with their traceback.
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "CRITICAL"},
            "celery.beat": {"level": "WARNING"},
            "psycopg": {"filters": ["raised"]},
        },
    }
