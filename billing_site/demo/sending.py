"""The site's API, called as a backend engineer would: batches with a key, and the same references when sent again."""

import logging
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import httpx2
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

# One line a request would bury what the demo says.
logging.getLogger("httpx2").setLevel(logging.WARNING)

BATCH_EVENTS = 1_000
CONNECTIONS = 2


class Api:
    """A client of the running site. `key` needs the scopes of what is asked. RuntimeError: it was refused, and why."""

    def __init__(self, base_url: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        self._http = httpx2.Client(base_url=base_url, headers=headers, timeout=60, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **params: str) -> Any:
        return self._checked(self._http.get(path, params=params))

    def post(self, path: str, body: object) -> Any:
        return self._checked(self._http.post(path, json=body))

    @staticmethod
    def _checked(response: httpx2.Response) -> Any:
        if response.is_error:
            raise RuntimeError(f"{response.request.url.path} answered {response.status_code}: {response.text[:500]}")
        return response.json()


def send(api: Api, events: Sequence[dict[str, object]], title: str) -> Counter[str]:
    """Send events in batches over a few connections, with a progress bar; how many were accepted and duplicated.

    Raises RuntimeError when any event is rejected: the traffic is known to be good.
    """
    batches = [events[i : i + BATCH_EVENTS] for i in range(0, len(events), BATCH_EVENTS)]
    totals: Counter[str] = Counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress, ThreadPoolExecutor(CONNECTIONS) as pool:
        task = progress.add_task(title, total=len(events))
        for answer in pool.map(lambda batch: api.post("/v1/events", batch), batches):
            if answer["rejected"]:
                raise RuntimeError(f"An event was rejected: {answer['rejected'][0]}")
            totals.update(accepted=answer["accepted"], duplicates=answer["duplicates"])
            progress.advance(task, answer["accepted"] + answer["duplicates"])
    return totals
