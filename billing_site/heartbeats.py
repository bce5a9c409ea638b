"""Signs of life: workers and beat write to Redis that they are there, and whoever asks reads it.

A worker writes with every heartbeat of its own (2 s), beat with every message that it sends. The sign outlives its
writer by its time to live at most, so a killed process is missed soon, without asking the workers themselves, who may
be busy.
"""

import socket
from collections.abc import Mapping
from typing import Any, cast

import redis
import structlog
from celery.signals import (
    after_task_publish,
    beat_init,
    heartbeat_sent,
    worker_shutdown,
)
from django.conf import settings

logger = structlog.get_logger(__name__)

WORKER = "tallybook:alive:worker"
BEAT = "tallybook:alive:beat"
WORKER_SECONDS = 15
TIMEOUT_SECONDS = 1.0

_process: dict[str, bool] = {"is_beat": False}


def connect() -> redis.Redis:
    """A client that gives up soon: a sign of life that comes late is none."""
    client: redis.Redis = redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=TIMEOUT_SECONDS,
        socket_timeout=TIMEOUT_SECONDS,
    )
    return client


def beat_seconds() -> int:
    """How long a sign of beat holds: five of its rounds, so that one late round is no death."""
    return max(WORKER_SECONDS, round(5 * settings.INVOICE_BEAT_SECONDS))


def signs(client: redis.Redis) -> Mapping[str, bool]:
    """Whether any worker, and beat, gave a sign of life lately. Raises redis.RedisError when Redis cannot be asked."""
    worker, beat = cast("list[bytes | None]", client.mget([WORKER, BEAT]))
    return {"worker": worker is not None, "beat": beat is not None}


def give(sign: str, seconds: int) -> None:
    """Write a sign of life. Without Redis there is nobody to read it, and the work itself says so loudly: go on."""
    try:
        with connect() as client:
            client.set(sign, socket.gethostname(), ex=seconds)
    except redis.RedisError as error:
        logger.warning("sign_of_life_not_written", sign=sign, error=type(error).__name__)


@heartbeat_sent.connect(weak=False)
def _worker_lives(**_: Any) -> None:
    give(WORKER, WORKER_SECONDS)


@worker_shutdown.connect(weak=False)
def _worker_leaves(**_: Any) -> None:
    """Another worker that is alive signs again within two seconds."""
    try:
        with connect() as client:
            client.delete(WORKER)
    except redis.RedisError:
        return


@beat_init.connect(weak=False)
def _beat_starts(**_: Any) -> None:
    _process["is_beat"] = True
    give(BEAT, beat_seconds())


@after_task_publish.connect(weak=False)
def _beat_sends(**_: Any) -> None:
    if _process["is_beat"]:
        give(BEAT, beat_seconds())
