"""Counting requests in windows of time, in memory: bounded, one lock for each limit, any clock.

The memory storage of the limits library is not used: it keeps a list for each key for ever, walks all keys
every 10 ms, and starts a thread for it.
"""

from __future__ import annotations

import collections
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NamedTuple

    class Taken(NamedTuple):
        """Whether a request is allowed, how many more are, and the seconds until there are more again."""

        is_allowed: bool
        remaining: int
        reset_s: float

else:
    Taken = collections.namedtuple("Taken", "is_allowed remaining reset_s")  # typing costs 2 ms

# Most requests remembered for one limit, about 100 bytes each with their share of a key. Then the keys that
# have been quiet for longest are forgotten: a flood from many addresses costs memory up to this, and no more.
MAX_REMEMBERED = 200_000


class MovingWindow:
    """At most `amount` requests within any `period_s` seconds, for each key. Any thread may call it."""

    def __init__(
        self,
        amount: int,
        period_s: float,
        clock: Callable[[], float] = time.monotonic,
        max_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._amount = amount
        self._period_s = period_s
        self._clock = clock
        self._max_remembered = max_remembered
        # Guarded by the lock. Times of allowed requests; the key whose last one is longest ago stands first.
        self._lock = threading.Lock()
        self._times: collections.OrderedDict[str, collections.deque[float]] = collections.OrderedDict()
        self._remembered = 0

    def take(self, key: str) -> Taken:
        """Count one request, if it is within the limit."""
        with self._lock:
            now = self._clock()
            begin = now - self._period_s
            times = self._times.get(key)
            if times is None:
                times = self._times[key] = collections.deque()
            while times and times[0] <= begin:
                times.popleft()
                self._remembered -= 1
            is_allowed = len(times) < self._amount
            if is_allowed:
                times.append(now)
                self._times.move_to_end(key)
                self._remembered += 1
                self._forget(begin)
            return Taken(is_allowed, self._amount - len(times), times[0] - begin)

    def _forget(self, begin: float) -> None:
        """Drop quiet keys: two that are over, which keeps up with new ones, and any above the bound."""
        for _ in range(2):
            times = next(iter(self._times.values()))
            if times and times[-1] > begin:
                break
            self._drop_first()
        while self._remembered > self._max_remembered and len(self._times) > 1:
            self._drop_first()

    def _drop_first(self) -> None:
        _key, times = self._times.popitem(last=False)
        self._remembered -= len(times)

    def __len__(self) -> int:
        return len(self._times)


class FixedWindow:
    """At most `amount` requests in windows of `period_s` seconds that begin with a key's first request."""

    def __init__(
        self,
        amount: int,
        period_s: float,
        clock: Callable[[], float] = time.monotonic,
        max_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._amount = amount
        self._period_s = period_s
        self._clock = clock
        self._max_remembered = max_remembered
        # Guarded by the lock. [end of the window, requests in it]; the window that ends first stands first.
        self._lock = threading.Lock()
        self._windows: dict[str, list[float]] = {}

    def take(self, key: str) -> Taken:
        """Count one request, if it is within the limit."""
        with self._lock:
            now = self._clock()
            window = self._windows.get(key)
            if window is None or window[0] <= now:
                self._windows.pop(key, None)
                self._forget(now)
                window = self._windows[key] = [now + self._period_s, 0]
            is_allowed = window[1] < self._amount
            if is_allowed:
                window[1] += 1
            return Taken(is_allowed, self._amount - int(window[1]), window[0] - now)

    def _forget(self, now: float) -> None:
        """Drop windows that are over, at most two, which keeps up with new ones, and one above the bound."""
        for _ in range(2):
            first = next(iter(self._windows), None)
            if first is None or (self._windows[first][0] > now and len(self._windows) < self._max_remembered):
                break
            del self._windows[first]

    def __len__(self) -> int:
        return len(self._windows)
