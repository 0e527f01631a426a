"""What systemd is to a service (sd_notify(3)): a datagram socket that hears what the supervisor tells."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.behaviour.clients import WAIT_S


class ServiceManager:
    """The manager's end of $NOTIFY_SOCKET. Whoever makes it closes it."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(WAIT_S)
        self.heard: list[dict[str, str]] = []

    def wait_for(self, name: str, value: str | None = None) -> dict[str, str]:
        """The next message with this assignment; any value when it is None."""
        while True:
            message = dict(line.split("=", 1) for line in self._socket.recv(65536).decode().split("\n"))
            self.heard.append(message)
            if name in message and value in (None, message[name]):
                return message

    def close(self) -> None:
        """Nobody listens any more."""
        self._socket.close()
