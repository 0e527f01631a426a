"""So many at once for each key: whoever comes too many waits in a bounded queue, first come, first served."""

from __future__ import annotations

import collections
import threading


class _Waiting:
    """One thread that waits. is_admitted: guarded by the lock of Slots; true before the event is set."""

    __slots__ = ("event", "is_admitted")

    def __init__(self) -> None:
        self.event = threading.Event()
        self.is_admitted = False


class _Room:
    """The slots of one key in use, and who waits for one."""

    __slots__ = ("in_use", "waiting")

    def __init__(self) -> None:
        self.in_use = 0
        self.waiting: collections.deque[_Waiting] = collections.deque()


class Slots:
    """concurrency, queue: most at once and most waiting, for each key. wait_s: longest wait.

    A key is remembered while somebody is inside, so memory is bounded by the threads there are.
    """

    def __init__(self, concurrency: int, queue: int, wait_s: float) -> None:
        self._concurrency = concurrency
        self._queue = queue
        self._wait_s = wait_s
        # Guarded by the lock, with all that is in it.
        self._lock = threading.Lock()
        self._rooms: dict[str, _Room] = {}

    def enter(self, key: str) -> bool:
        """Take a slot, if need be after a wait; False when the queue is full or the wait too long.

        Whoever gets True calls leave() once.
        """
        with self._lock:
            room = self._rooms.get(key)
            if room is None:
                room = self._rooms[key] = _Room()
            if room.in_use < self._concurrency:
                room.in_use += 1
                return True
            if len(room.waiting) >= self._queue:
                return False
            me = _Waiting()
            room.waiting.append(me)
        try:
            me.event.wait(self._wait_s)
        except BaseException:
            # A timeout of gevent, say: nobody will take the slot.
            if self._is_admitted(room, me):
                self.leave(key)
            raise
        return self._is_admitted(room, me)

    def _is_admitted(self, room: _Room, me: _Waiting) -> bool:
        """Whether one whose wait is over has a slot; who has none no longer waits."""
        with self._lock:
            # The slot may have been handed over in the moment in which the wait ended.
            if not me.is_admitted:
                room.waiting.remove(me)
            return me.is_admitted

    def leave(self, key: str) -> None:
        """Give a slot back: to the one who has waited for longest, if there is one."""
        with self._lock:
            room = self._rooms[key]
            if room.waiting:
                next_one = room.waiting.popleft()
                next_one.is_admitted = True
                next_one.event.set()
                return
            room.in_use -= 1
            if not room.in_use:
                del self._rooms[key]

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._rooms)
