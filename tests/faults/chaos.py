"""Senders that do not give up, on a site that is killed under them: what the replay under faults is made of."""

import http.client
import json
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import urlsplit

from billing_site.demo import traffic

Event = dict[str, object]
Key = tuple[str, str]
BUSY = "busy"  # half of the traffic comes from one customer: its senders meet on the same buckets
BATCH_EVENTS = (1, 100)
REPEATED = 0.3
PATIENCE_SECONDS = 10.0


def key_of(event: Event) -> Key:
    return str(event["customer"]), str(event["reference"])


def replays(chance: random.Random) -> Iterator[list[Event]]:
    """The shipped traffic in batches, again and again under other references: without end, and never twice the same.

    Rows come out of order, among some thousands of their neighbours.
    """
    for replay in count(1):
        window: list[Event] = []
        for number, event in enumerate(traffic.events(BUSY)):
            event["reference"] = f"{replay}:{event['reference']}"
            event["customer"] = BUSY if number % 2 else f"customer-{number // 2 % 12}"
            window.append(event)
            if len(window) == 4_000:
                yield from _batches(window, chance)
        yield from _batches(window, chance)


def _batches(window: list[Event], chance: random.Random) -> Iterator[list[Event]]:
    chance.shuffle(window)
    while window:
        size = chance.randint(*BATCH_EVENTS)
        yield window[:size]
        del window[:size]


@dataclass
class Replay:
    """What the senders share: where the site is, what they have sent, and what it has acknowledged."""

    chance: random.Random
    key: str
    address: Callable[[], str]
    sent: dict[Key, Event] = field(default_factory=dict)
    acknowledged: set[Key] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    accepted: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._fresh = replays(self.chance)
        self._unanswered: deque[list[Event]] = deque()
        self._past: deque[list[Event]] = deque(maxlen=200)
        self._ending = False

    def run(self, clients: int) -> list[threading.Thread]:
        """Begin. They go on until `finish`."""
        threads = [threading.Thread(target=self._send_all, name=f"client {n}", daemon=True) for n in range(clients)]
        for thread in threads:
            thread.start()
        return threads

    def finish(self) -> None:
        """Nothing new any more; what had no answer is still sent until it has one."""
        self._ending = True

    def _send_all(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while batch := self._next():
            known = self._known(batch)
            try:
                connection = connection or self._connect()
                status, answer = self._post(connection, batch)
            except (OSError, http.client.HTTPException, ValueError) as error:
                connection = None
                self._no_answer(batch, type(error).__name__)
                continue
            if status in (429, 503):
                self._no_answer(batch, str(status))
            else:
                self._answered(batch, known, status, answer)

    def _next(self) -> list[Event] | None:
        """A batch: one that had no answer, or of before (whole or in part), or a new one."""
        with self._lock:
            if self._unanswered and (self._ending or self.chance.random() < 0.5):
                return self._unanswered.popleft()
            if self._ending:
                return None
            if self._past and self.chance.random() < REPEATED:
                return self._mixed()
            batch = next(self._fresh)
            self._past.append(batch)  # another client may send it while it is under way
            self.sent.update((key_of(event), event) for event in batch)
            return batch

    def _mixed(self) -> list[Event]:
        """A batch of before; or the ends of two of them, the other way round."""
        one, other = self.chance.choice(self._past), self.chance.choice(self._past)
        return one if self.chance.random() < 0.5 else [*other[len(other) // 2 :], *one[: len(one) // 2 + 1]]

    def _known(self, batch: list[Event]) -> int:
        """How many different events of it were acknowledged before it is sent."""
        with self._lock:
            return len({key_of(event) for event in batch} & self.acknowledged)

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.address()).netloc, timeout=PATIENCE_SECONDS)

    def _post(self, connection: http.client.HTTPConnection, batch: list[Event]) -> tuple[int, dict[str, object]]:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", "Host": "localhost"}
        connection.request("POST", "/v1/events", json.dumps(batch), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    def _no_answer(self, batch: list[Event], why: str) -> None:
        with self._lock:
            self.answers[why] += 1
            self._unanswered.append(batch)
            pause = self.chance.uniform(0.02, 0.3)
        time.sleep(pause)

    def _answered(self, batch: list[Event], known: int, status: int, answer: dict[str, object]) -> None:
        keys = {key_of(event) for event in batch}
        accepted, duplicates = answer.get("accepted"), answer.get("duplicates")
        with self._lock:
            self.answers[str(status)] += 1
            if status != 200 or answer["rejected"] or accepted + duplicates != len(batch):  # type: ignore[operator]
                self.wrong.append(f"{status} for {len(batch)} events: {answer}")
            elif accepted > len(keys) - known:  # type: ignore[operator]
                self.wrong.append(f"{known} of {len(keys)} were acknowledged before, and {accepted} accepted again")
            else:
                self.accepted += accepted  # type: ignore[operator]
                self.acknowledged |= keys
