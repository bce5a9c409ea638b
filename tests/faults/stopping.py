"""The site's Celery app for a worker that stops at a named place, so that a test can kill it exactly there.

The environment says where: STOP_AT is one of the places below. There it touches the file STOP_MARKER and sleeps.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

from billing_site.celery import app

__all__ = ["app"]


def stop() -> None:
    Path(os.environ["STOP_MARKER"]).touch()
    time.sleep(600)


def stop_before(module: Any, name: str) -> None:
    setattr(module, name, lambda *args, **kwargs: stop())


def stop_after(module: Any, name: str) -> None:
    original: Callable[..., Any] = getattr(module, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        stop()
        return result

    setattr(module, name, wrapped)


def stop_at_part(module: Any, name: str, calls: int) -> None:
    """After the call of that number."""
    original: Callable[..., Any] = getattr(module, name)
    left = iter(range(calls - 1, -1, -1))

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if next(left) == 0:
            stop()
        return result

    setattr(module, name, wrapped)


def install(place: str) -> None:
    from invoicing import numbering, planning
    from meters.backfills import leases as backfill_leases
    from meters.backfills import work as backfill_work
    from meters.ingestion import ingest
    from meters.uploads import work as upload_work
    from meters.usage import reading as usage

    {
        "after drafts": lambda: stop_before(planning, "_assign"),
        "inside rating": lambda: stop_after(usage, "read"),
        "after numbers, before commit": lambda: stop_after(numbering, "finalize"),
        "upload: stored, before commit": lambda: stop_at_part(ingest, "add", 5),
        "backfill: counted, before commit": lambda: stop_at_part(backfill_leases, "counted", 3),
        "backfill: between two chunks": lambda: stop_at_part(backfill_work, "_step", 3),
        "upload: between two parts": lambda: stop_at_part(upload_work, "_load", 5),
    }[place]()


django.setup()
install(os.environ["STOP_AT"])
