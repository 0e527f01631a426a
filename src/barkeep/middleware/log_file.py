"""A file that lines are added to, whole and by many threads and processes, also when logrotate moves it
away."""

from __future__ import annotations

import math
import os
import sys
import threading
import time

from ..errors import SettingError

STANDARD_OUTPUT = "-"

# How often to look whether the file was moved away: a stat for each line would cost more than the line.
LOOK_EVERY_S = 1.0


class LogFile:
    """Opened when made, so that a path that cannot be written is told at the start. Lives as long as the
    process.

    Raises SettingError when it cannot be opened. A line that cannot be written is lost: a full disk must not
    turn answers into errors.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        # Guards the descriptor while it changes; writes of one line need no lock (O_APPEND).
        self._lock = threading.Lock()
        # Standard output is never another file.
        self._look_again_at_s = math.inf if path == STANDARD_OUTPUT else 0.0
        self._descriptor = sys.stdout.fileno() if path == STANDARD_OUTPUT else self._open()

    def write(self, line: str) -> None:
        """Add one line, with its end, in one system call."""
        if time.monotonic() >= self._look_again_at_s:
            self._follow()
        try:
            os.write(self._descriptor, line.encode("ascii", "backslashreplace"))
        except OSError:
            pass

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(self._path, flags, 0o640)
        except OSError as error:
            raise SettingError(f"cannot open the access log {self._path}: {error.strerror}.") from None

    def _follow(self) -> None:
        """Open the path again when it is another file now."""
        with self._lock:
            self._look_again_at_s = time.monotonic() + LOOK_EVERY_S
            try:
                there, ours = os.stat(self._path), os.fstat(self._descriptor)
                is_ours = (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
            except OSError:
                is_ours = False
            if is_ours:
                return
            try:
                fresh = self._open()
            except SettingError:
                return
            # Same number, new file: another thread may be about to write to it.
            os.dup2(fresh, self._descriptor, inheritable=False)
            os.close(fresh)
