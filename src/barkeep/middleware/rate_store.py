"""Counting requests in Redis, for several processes or machines: the limits library, bounded in time.

A store that is down costs one thread its timeout once a second; all other requests are decided at once.
"""

from __future__ import annotations

import threading
import time

from .libraries import library
from .rate_windows import Taken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class Window(Protocol):
        """One limit: counts requests by key."""

        def take(self, key: str, /) -> Taken:
            """Count one request, if it is within the limit. Raises StoreDown."""


# Schemes of URLs that redis-py takes, through limits.
REDIS_SCHEMES = ("redis://", "rediss://", "redis+unix://")

# After a failure, the store is asked again by one request in so many seconds.
ASK_AGAIN_S = 1.0


class StoreDown(Exception):
    """The store did not answer, or with an error. The text says what it was."""


def connect(url: str, timeout_s: float) -> Any:
    """A storage of the limits library; it connects when it is first asked.

    timeout_s bounds connecting and each answer; nothing is tried twice. Raises SettingError for a missing
    library and ValueError for a URL that Redis clients do not take.
    """
    storage = library("limits.storage", "ratelimit", "RateLimit")
    library("redis", "ratelimit", "RateLimit with Redis")
    retry = library("redis.retry", "ratelimit", "RateLimit with Redis")
    backoff = library("redis.backoff", "ratelimit", "RateLimit with Redis")
    return storage.storage_from_string(
        url,
        key_prefix="barkeep",
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        # redis-py tries three times by default, each with the full timeout.
        retry=retry.Retry(backoff.NoBackoff(), 0),
    )


class StoredWindow:
    """One limit in a storage of the limits library.

    wants_rest: whether to ask how many requests remain also when one is allowed, which is a second question.
    """

    def __init__(self, storage: Any, amount: int, period_s: int, is_moving: bool, wants_rest: bool) -> None:
        self._storage = storage
        self._amount = amount
        self._period_s = period_s
        self._is_moving = is_moving
        self._wants_rest = wants_rest

    def take(self, key: str) -> Taken:
        """Count one request, if it is within the limit. Raises StoreDown."""
        try:
            return self._take(f"{key}/{self._amount}/{self._period_s}")
        except (OSError, self._storage.base_exceptions) as error:
            raise StoreDown(f"{type(error).__name__}: {error}") from error

    def _take(self, key: str) -> Taken:
        if self._is_moving:
            is_allowed = self._storage.acquire_entry(key, self._amount, self._period_s)
        else:
            # Counts what is refused too; the key still ends with its window.
            is_allowed = self._storage.incr(key, self._period_s) <= self._amount
        if is_allowed and not self._wants_rest:
            return Taken(True, 0, 0.0)
        if self._is_moving:
            begin, used = self._storage.get_moving_window(key, self._amount, self._period_s)
            end = begin + self._period_s
        else:
            used, end = self._storage.get(key), self._storage.get_expiry(key)
        # Times come from the clocks of several machines.
        reset_s = min(max(0.0, end - time.time()), self._period_s)
        return Taken(is_allowed, max(0, self._amount - used), reset_s)


class StoreWatch:
    """Whether the store is asked, and what is said about it. Any thread may call it.

    While it is down one request a second asks it; what that one finds decides for the next second.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # Guarded by the lock where they change. 0.0 while the store is up.
        self._lock = threading.Lock()
        self._ask_again_at = 0.0

    def may_ask(self) -> bool:
        """False while the store is down, but to one caller a second."""
        if not self._ask_again_at:
            return True
        with self._lock:
            now = self._clock()
            if self._ask_again_at > now:
                return False
            self._ask_again_at = now + ASK_AGAIN_S
            return True

    def failed(self) -> bool:
        """The store is down: True for the first to find out, who says so."""
        with self._lock:
            was_up = not self._ask_again_at
            self._ask_again_at = self._clock() + ASK_AGAIN_S
            return was_up

    def answered(self) -> bool:
        """The store is up: True for the first to find out after it was down, who says so."""
        if not self._ask_again_at:
            return False
        with self._lock:
            was_down = bool(self._ask_again_at)
            self._ask_again_at = 0.0
            return was_down
