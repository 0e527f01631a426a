"""The log of a process that has no engine: the supervisor's and the zygote's lines, in the engine's format.

Never waits: a log that nobody reads, or a full disk, may not stop the supervisor. What is lost is counted.
"""

from __future__ import annotations

import os
import select
import time

LEVELS = ("debug", "info", "warning", "error")
STANDARD_ERROR = 2
# A pipe that polls as writable takes this much without waiting (pipe(7)).
PIECE_BYTES = select.PIPE_BUF


class ProcessLog:
    """Lines `2026-11-20T17:03:11.456261Z [pid] level: text` on a descriptor that others may write to as well.

    level: the least important one that is written.
    """

    def __init__(self, level: str, descriptor: int = STANDARD_ERROR) -> None:
        self.level = level
        self._descriptor = descriptor
        self._lost_lines = 0

    def debug(self, text: str) -> None:
        """What only somebody who looks for a fault wants to know."""
        self.write("debug", text)

    def info(self, text: str) -> None:
        """What happened as it should."""
        self.write("info", text)

    def warning(self, text: str) -> None:
        """What an operator should look at some day."""
        self.write("warning", text)

    def error(self, text: str) -> None:
        """What an operator should look at now."""
        self.write("error", text)

    def fault(self, error: BaseException) -> None:
        """A mistake of Barkeep's own, with its traceback."""
        import traceback

        text = "".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip()
        self.error(f"this is a bug in barkeep\n{text}")

    def write(self, level: str, text: str) -> None:
        """One event; lines after the first are kept together with it."""
        if LEVELS.index(level) < LEVELS.index(self.level):
            return
        lost = f" ({self._lost_lines} lines before this were lost)" if self._lost_lines else ""
        line = f"{_timestamp()} [{os.getpid()}] {level}: {text}{lost}\n"
        if self._put(line.encode("utf-8", "backslashreplace")):
            self._lost_lines = 0
        else:
            self._lost_lines += 1

    def _put(self, line: bytes) -> bool:
        poll = select.poll()
        try:
            poll.register(self._descriptor, select.POLLOUT)
            while line:
                if not poll.poll(0):
                    return False
                line = line[os.write(self._descriptor, line[:PIECE_BYTES]) :]
        except (OSError, ValueError):
            return False
        return True


def _timestamp() -> str:
    now_ns = time.time_ns()
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_ns // 1_000_000_000))
    return f"{whole}.{now_ns // 1000 % 1_000_000:06d}Z"
