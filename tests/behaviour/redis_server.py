"""A real Redis of a test's own: the program of Debian's package redis-server, on a unix socket."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import IO

from tests.programs import find_program

WAIT_S = 20.0


class RedisServer:
    """Starts when it is made, and is ready then. Whoever makes it closes it."""

    def __init__(self, directory: Path) -> None:
        program = find_program("redis-server")
        self.socket = directory / "redis.sock"
        self.url = f"redis+unix://{self.socket}"
        words = ["--port", "0", "--unixsocket", str(self.socket), "--save", "", "--dir", str(directory)]
        self._process = subprocess.Popen([program, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert self._process.stdout is not None
        self._output: IO[bytes] = self._process.stdout
        if not any(b"eady to accept connections" in line for line in self._output):
            self.close()
            raise AssertionError("redis-server ended before it was ready")

    def fall_silent(self) -> None:
        """Still there, and connections still open, but it answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def speak_again(self) -> None:
        """The end of `fall_silent`."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait(WAIT_S)
        self._output.close()
