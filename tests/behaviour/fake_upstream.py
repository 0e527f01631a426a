"""An upstream that a test plays byte by byte: it accepts, reads and answers itself."""

from __future__ import annotations

import socket

WAIT_S = 20.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Upstream:
    """A listening socket on a free port. The test accepts, reads and answers itself."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(WAIT_S)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._accepted: list[Connection] = []

    def accept(self) -> Connection:
        connection, _ = self._listener.accept()
        connection.settimeout(WAIT_S)
        self._accepted.append(Connection(connection))
        return self._accepted[-1]

    def close(self) -> None:
        for connection in self._accepted:
            connection.close()
        self._listener.close()


class Connection:
    """One connection from the proxy."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._unread = b""

    def read_until(self, mark: bytes) -> bytes:
        while mark not in self._unread:
            received = self._socket.recv(65536)
            assert received, f"closed before {mark!r}: {self._unread!r}"
            self._unread += received
        found, _mark, self._unread = self._unread.partition(mark)
        return found + mark

    def read(self, count: int) -> bytes:
        while len(self._unread) < count:
            received = self._socket.recv(65536)
            assert received, "closed too early"
            self._unread += received
        found, self._unread = self._unread[:count], self._unread[count:]
        return found

    def read_head(self) -> tuple[str, dict[str, str]]:
        line, *fields = self.read_until(b"\r\n\r\n").decode("latin-1").splitlines()[:-1]
        return line, {
            name.lower(): value for name, _colon, value in (field.partition(": ") for field in fields)
        }

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def is_ended(self) -> bool:
        """Waits for the proxy to close it."""
        return self._socket.recv(1) == b""

    def send_for_ever(self) -> None:
        """Chunks, until an error says that nobody takes them."""
        while True:
            self.send(b"400\r\n" + b"x" * 1024 + b"\r\n")

    def close(self) -> None:
        self._socket.close()
