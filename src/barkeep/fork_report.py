"""What an import leaves behind that a fork breaks - threads, sockets, held locks - and who made it.

A thread does not exist in the child, a socket is used by all of them at once, and a lock that is held at the
fork is held for ever in each child.
"""

from __future__ import annotations

import socket
import sys
import threading
import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType
    from typing import Any

# Frames of these files made nothing themselves: their caller did.
NOT_THE_MAKER = (__file__, threading.__file__, socket.__file__)


class ForkReport:
    """`with ForkReport() as report: import ...; report.findings()`. Watches what is made inside the block."""

    def __init__(self) -> None:
        self._threads: list[tuple[weakref.ref[threading.Thread], str]] = []
        self._sockets: list[tuple[weakref.ref[socket.socket], str]] = []
        self._locks: list[tuple[weakref.ref[Any], str]] = []

    def __enter__(self) -> ForkReport:
        self._thread_start = threading.Thread.start
        self._socket_init = socket.socket.__init__
        self._make_lock, self._make_rlock = threading.Lock, threading.RLock
        report = self

        def start(thread: threading.Thread) -> None:
            report._threads.append((weakref.ref(thread), _maker()))
            report._thread_start(thread)

        def init(made: socket.socket, *args: Any, **kwargs: Any) -> None:
            report._sockets.append((weakref.ref(made), _maker()))
            report._socket_init(made, *args, **kwargs)

        threading.Thread.start = start  # type: ignore[assignment,method-assign]
        socket.socket.__init__ = init  # type: ignore[assignment,method-assign]
        threading.Lock = self._watched(self._make_lock)  # type: ignore[assignment]
        threading.RLock = self._watched(self._make_rlock)  # type: ignore[assignment]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        threading.Thread.start = self._thread_start  # type: ignore[method-assign]
        socket.socket.__init__ = self._socket_init  # type: ignore[method-assign]
        threading.Lock, threading.RLock = self._make_lock, self._make_rlock

    def findings(self) -> list[str]:
        """One sentence for each thing that is still there."""
        found = []
        for thread_ref, maker in self._threads:
            thread = thread_ref()
            if thread is not None and thread.is_alive():
                found.append(
                    f"thread {thread.name} runs before the fork and not in a worker, started by {maker}"
                )
        for socket_ref, maker in self._sockets:
            made = socket_ref()
            if made is not None and made.fileno() >= 0:
                found.append(f"a socket is open and would be shared by all workers, made by {maker}")
        for lock_ref, maker in self._locks:
            lock = lock_ref()
            if lock is not None and _is_held(lock):
                found.append(f"a lock is held and would be so for ever in each worker, made by {maker}")
        return found

    def _watched(self, make: Callable[[], Any]) -> Callable[[], Any]:
        def made() -> Any:
            lock = make()
            self._locks.append((weakref.ref(lock), _maker()))
            return lock

        return made


def _is_held(lock: Any) -> bool:
    """Whether anybody holds it: a lock that can be had at once is free, and is given back."""
    is_owned = getattr(lock, "_is_owned", None)
    if is_owned is not None and is_owned():
        return True
    if not lock.acquire(blocking=False):
        return True
    lock.release()
    return False


def _maker() -> str:
    """The file and line that called, outside of the standard library's own wrappers."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - who called is the whole point
    while frame is not None and frame.f_code.co_filename in NOT_THE_MAKER:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "somebody"
