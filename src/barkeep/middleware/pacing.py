"""So many bytes per second: when the next piece of a body may go, for one answer or for all of a client's."""

from __future__ import annotations

import collections
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Send = Callable[[bytes], object]

# A body goes in pieces of so many seconds at the rate: short enough to look even, long enough to cost little.
PIECE_S = 0.1
MIN_PIECE_BYTES = 512

# Clients whose rate is remembered; beyond, the one that has been quiet for longest is forgotten.
MAX_CLIENTS = 10_000


class Pace:
    """The rate of one answer, or of all answers of one client. Any thread may call it."""

    __slots__ = ("_clock", "_free_at", "_lock", "_rate", "_sleep", "piece_bytes")

    def __init__(self, rate: int, clock: Callable[[], float], sleep: Callable[[float], object]) -> None:
        """rate: bytes per second."""
        self.piece_bytes = max(MIN_PIECE_BYTES, int(rate * PIECE_S))
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        # Guarded by the lock: when all that was sent would be through at the rate.
        self._free_at = 0.0

    def wait(self, size_bytes: int) -> None:
        """Return when so many bytes may be sent. Sleeps in the thread of the caller."""
        with self._lock:
            now = self._clock()
            begin = max(now, self._free_at)
            self._free_at = begin + size_bytes / self._rate
        if begin > now:
            self._sleep(begin - now)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """The data in pieces, each when it may be sent; an empty one as it is, for it flushes."""
        if len(data) <= self.piece_bytes:
            self.wait(len(data))
            yield data
            return
        view = memoryview(data)
        for start in range(0, len(data), self.piece_bytes):
            piece = bytes(view[start : start + self.piece_bytes])
            self.wait(len(piece))
            yield piece


class ClientPaces:
    """One Pace for each key, a bounded number of them."""

    def __init__(self, make: Callable[[], Pace], max_clients: int = MAX_CLIENTS) -> None:
        self._make = make
        self._max_clients = max_clients
        # Guarded by the lock; the key that was asked for longest ago stands first.
        self._lock = threading.Lock()
        self._paces: collections.OrderedDict[str, Pace] = collections.OrderedDict()

    def of(self, key: str) -> Pace:
        """The pace that all answers with this key share."""
        with self._lock:
            pace = self._paces.get(key)
            if pace is None:
                pace = self._paces[key] = self._make()
                if len(self._paces) > self._max_clients:
                    self._paces.popitem(last=False)
            else:
                self._paces.move_to_end(key)
            return pace

    def __len__(self) -> int:
        return len(self._paces)


class PacedBody:
    """A body at a pace; close() closes the application's iterable, once."""

    def __init__(self, iterable: Iterable[bytes], pace: Pace) -> None:
        self._iterable: Iterable[bytes] | None = iterable
        self._pace = pace
        self._pieces: Iterator[bytes] = iter(())

    def __iter__(self) -> Iterator[bytes]:
        if self._iterable is not None:
            pace = self._pace
            self._pieces = (piece for chunk in self._iterable for piece in pace.pieces(chunk))
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """The application is done."""
        iterable, self._iterable = self._iterable, None
        close = getattr(iterable, "close", None)
        if close is not None:
            close()


def paced_write(write: Send, pace: Pace) -> Send:
    """A write() (PEP 3333) at a pace."""

    def paced(data: bytes) -> None:
        for piece in pace.pieces(data):
            write(piece)

    return paced
