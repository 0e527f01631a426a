"""Credentials that were found right a short while ago, so that a slow hash is not paid for each request."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Credentials remembered; beyond, the oldest are forgotten.
MAX_REMEMBERED = 10_000


class Verified:
    """Remembers for so many seconds, and keeps no password: a keyed digest, with a key that dies with us.

    Only right credentials are remembered, so a quick answer tells nobody anything that he did not know.
    """

    def __init__(
        self,
        keep_s: float,
        clock: Callable[[], float] = time.monotonic,
        max_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._keep_s = keep_s
        self._clock = clock
        self._max_remembered = max_remembered
        self._key = secrets.token_bytes(32)
        # Guarded by the lock: when each digest is forgotten, the oldest first.
        self._lock = threading.Lock()
        self._until: dict[bytes, float] = {}

    def digest(self, *parts: str) -> bytes:
        """One name for these texts; parts cannot run into one another."""
        found = hashlib.blake2b(key=self._key, digest_size=16)
        for part in parts:
            encoded = part.encode("utf-8", "surrogatepass")
            found.update(len(encoded).to_bytes(8, "big"))
            found.update(encoded)
        return found.digest()

    def has(self, digest: bytes) -> bool:
        """Whether it was remembered, and not too long ago."""
        return self._until.get(digest, 0.0) > self._clock()

    def remember(self, digest: bytes) -> None:
        """From now on, for the set time."""
        if not self._keep_s:
            return
        with self._lock:
            self._until.pop(digest, None)
            self._until[digest] = self._clock() + self._keep_s
            while len(self._until) > self._max_remembered:
                del self._until[next(iter(self._until))]

    def __len__(self) -> int:
        return len(self._until)
