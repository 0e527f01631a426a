"""Step 5 from outside - a place where an application waits until the test lets it go on, across processes.

The test learns who has arrived from a connection and lets it go by closing it, so nobody waits for time.
"""

from __future__ import annotations

import socket
from pathlib import Path

from tests.behaviour.clients import WAIT_S


class Gate:
    """The test's side. Whoever makes it closes it; that lets everybody go."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(1024)
        self._listener.settimeout(WAIT_S)
        self._waiting: list[socket.socket] = []

    def wait_for(self, arrivals: int) -> None:
        """Until so many have arrived, with those that are here already."""
        while len(self._waiting) < arrivals:
            self._waiting.append(self._listener.accept()[0])

    def open(self) -> None:
        """Let go everybody who is here."""
        for waiting in self._waiting:
            waiting.close()
        self._waiting.clear()

    def close(self) -> None:
        """Let go everybody, also who comes later."""
        self.open()
        self._listener.close()


def wait_at(path: str) -> None:
    """The application's side: return when the test lets go."""
    with socket.socket(socket.AF_UNIX) as waiting:
        try:
            waiting.connect(path)
            waiting.recv(1)
        except OSError:
            # The gate is gone, so it is open.
            return
