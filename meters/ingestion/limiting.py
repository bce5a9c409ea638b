"""How many events one API key may send: a guard against a sender gone wild, kept in Redis and let go without it."""

import time
from functools import lru_cache

import structlog
from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

from billing_site.foundation import clock

WINDOW_SECONDS = 10
# Redis that is away must not slow every request down.
TIMEOUT_SECONDS = 0.25
PAUSE_SECONDS = 5.0

logger = structlog.get_logger(__name__)


class _Pause:
    until = 0.0


def wait_seconds(api_key: int, events: int) -> int:
    """Count `events` for the key; 0 when it may send them, otherwise how many seconds to wait.

    The limit is `INGEST_EVENTS_PER_SECOND` on average over windows of 10 seconds; a batch that crosses it passes.
    """
    limit = settings.INGEST_EVENTS_PER_SECOND * WINDOW_SECONDS
    instant = clock.now().timestamp()
    used = _use(f"ingest:{api_key}:{int(instant // WINDOW_SECONDS)}", events)
    return int(WINDOW_SECONDS - instant % WINDOW_SECONDS) + 1 if used - events >= limit else 0


def _use(name: str, events: int) -> int:
    if time.monotonic() < _Pause.until:
        return 0
    try:
        redis = _redis(settings.REDIS_URL)
        used = int(redis.incrby(name, events))
        if used == events:  # the first of the window
            redis.expire(name, 2 * WINDOW_SECONDS)
    except RedisError as error:
        _Pause.until = time.monotonic() + PAUSE_SECONDS
        logger.warning("ingest_limit_not_checked", error=type(error).__name__)
        return 0
    return used


@lru_cache(maxsize=4)
def _redis(url: str) -> Redis:
    return Redis.from_url(url, socket_connect_timeout=TIMEOUT_SECONDS, socket_timeout=TIMEOUT_SECONDS)
