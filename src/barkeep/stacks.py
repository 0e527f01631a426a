"""The Python stacks of a worker, also of one that is stuck: its fault handler writes them when signalled.

The handler runs without the GIL, so it works while C code holds it. What it writes has no end mark: it is
over when nothing has come for a moment.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .launcher import WorkerProcess
    from .loop import Loop, Timer

# Nothing for so long: the handler has written all of it.
QUIET_S = 0.15
# A worker that has not begun by then will not.
PATIENCE_S = 2.0
MOST_BYTES = 256 * 1024


class StackRequest:
    """Asks one worker for its stacks; `done` is called once, with the text or "" when it cannot tell."""

    def __init__(self, loop: Loop, worker: WorkerProcess, done: Callable[[str], None]) -> None:
        self._loop = loop
        self._worker = worker
        self._done = done
        self._text = b""
        self._drain_old()
        worker.ask_for_stacks()
        loop.watch(worker.stacks, self._read)
        self._end: Timer = loop.after(PATIENCE_S, self._finish)

    def _drain_old(self) -> None:
        """What an earlier request left: a worker that was too slow for it."""
        while self._receive():
            pass

    def _receive(self) -> bytes:
        try:
            return os.read(self._worker.stacks, 65536)
        except OSError:
            return b""

    def _read(self) -> None:
        received = self._receive()
        self._text += received
        self._end.cancel()
        if not received or len(self._text) > MOST_BYTES:
            self._finish()
        else:
            self._end = self._loop.after(QUIET_S, self._finish)

    def _finish(self) -> None:
        self._end.cancel()
        self._loop.forget(self._worker.stacks)
        self._done(self._text.decode("utf-8", "replace"))
