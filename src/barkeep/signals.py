"""Signals as something to wait for, like bytes on a socket: no work is ever done inside a handler."""

from __future__ import annotations

import os
import signal
import socket
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType, TracebackType

# How many signals are remembered between two looks; more of the same kind say nothing new.
REMEMBERED_SIGNALS = 256


class Signals:
    """`with Signals(numbers) as signals: signals.wait(None)`. What was handled before comes back at the end.

    Outside the main thread it never hears a signal: Python allows it only there.
    """

    def __init__(self, handled: Sequence[signal.Signals]) -> None:
        self._handled = handled

    def __enter__(self) -> Signals:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._before: dict[signal.Signals, object] = {}
        self._wakeup_before = -1
        if threading.current_thread() is threading.main_thread():
            self._wakeup_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
            for number in self._handled:
                self._before[number] = signal.signal(number, _do_nothing)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if self._before:
            signal.set_wakeup_fd(self._wakeup_before)
        self._reader.close()
        self._writer.close()

    def stay_in_this_process(self) -> None:
        """What this process forks hears its signals itself, as any program does.

        Else they would only be written to our wake-up descriptor, and be taken for ours. For processes that
        other code forks from; there is no way back.
        """
        os.register_at_fork(after_in_child=self._forget_in_child)

    def _forget_in_child(self) -> None:
        signal.set_wakeup_fd(-1)
        for number in self._handled:
            if signal.getsignal(number) is _do_nothing:
                signal.signal(number, signal.SIG_DFL)

    def fileno(self) -> int:
        """Readable when a signal has come, or somebody has called `wake`."""
        return self._reader.fileno()

    def wait(self, timeout_s: float | None) -> signal.Signals | None:
        """The next signal; None after the timeout, or when woken without one."""
        self._reader.settimeout(timeout_s)
        try:
            number = self._reader.recv(1)
        except (TimeoutError, BlockingIOError):
            return None
        return signal.Signals(number[0]) if number and number[0] else None

    def take(self) -> list[signal.Signals]:
        """The signals that have come, without waiting."""
        self._reader.setblocking(False)
        try:
            numbers = self._reader.recv(REMEMBERED_SIGNALS)
        except BlockingIOError:
            return []
        return [signal.Signals(number) for number in numbers if number]

    def wake(self) -> None:
        """End a wait from another thread."""
        try:
            self._writer.send(b"\0")
        except OSError:
            # Nobody waits any more: the server has ended in another way.
            pass


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    # The wake-up descriptor tells the main thread; a handler must exist for Python to write there.
    pass
