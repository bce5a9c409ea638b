"""When a process that died is started again, and when there is no use in it. Pure."""

from collections import deque
from dataclasses import dataclass, field

MAX_DEATHS = 5
WITHIN_SECONDS = 60.0


@dataclass
class Restarts:
    """The deaths of one process lately, and when it is due to be started again; None while it runs."""

    due: float | None = None
    _deaths: deque[float] = field(default_factory=deque)

    def died(self, now: float) -> float | None:
        """The seconds to wait before the next start: 1, 2, 4, 8. None: it died `MAX_DEATHS` times, leave it.

        `now`: seconds of a clock that never goes back.
        """
        while self._deaths and self._deaths[0] <= now - WITHIN_SECONDS:
            self._deaths.popleft()
        self._deaths.append(now)
        if len(self._deaths) >= MAX_DEATHS:
            return None
        wait = 2.0 ** (len(self._deaths) - 1)
        self.due = now + wait
        return wait
