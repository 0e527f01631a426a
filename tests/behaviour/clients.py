"""Steps 2 to 6 from outside - a raw client: reads answers strictly, sees how a connection ends."""

from __future__ import annotations

import re
import select
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

# Longer than anything here may take: reached only by a failing test.
WAIT_S = 20.0

STATUS_LINE = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ([\t -~\x80-\xff]*)\Z")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([^\x00\r\n]*)\Z")

Address = tuple[str, int] | str


class CutShortError(Exception):
    """The connection ended before an answer was complete; was_reset: by RST, no end for anybody."""

    def __init__(self, received: bytes, was_reset: bool) -> None:
        super().__init__(f"{'reset' if was_reset else 'closed'} after {received[-200:]!r}")
        self.received = received
        self.was_reset = was_reset


@dataclass(frozen=True)
class Answer:
    """One whole response."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes

    def field(self, name: str) -> str | None:
        """The only value of a field; None when it is not there."""
        values = [value for found, value in self.fields if found.lower() == name]
        assert len(values) < 2, f"{name} was sent {len(values)} times"
        return values[0] if values else None


class Client:
    """One connection to a server, as (host, port) or a unix path. Whoever makes it closes it.

    is_slow: segments and buffers so small that even loopback does not swallow a large answer.
    """

    def __init__(self, address: Address, *, is_slow: bool = False) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(WAIT_S)
        self._unread = b""
        if is_slow:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise

    @property
    def name(self) -> str:
        """How the server's log names this client."""
        host, port = self.socket.getsockname()
        return f"{host}:{port}"

    def send(self, *pieces: bytes) -> None:
        """Send all of it."""
        self.socket.sendall(b"".join(pieces))

    def get(self, target: str = "/", *fields: str) -> None:
        """Send a GET request on a connection that stays open."""
        lines = [f"GET {target} HTTP/1.1", "Host: localhost", *fields, "", ""]
        self.send("\r\n".join(lines).encode("latin-1"))

    def post(self, target: str, body: bytes, *fields: str, length: int | None = None) -> None:
        """Send a POST request; `length` is declared where the body is to be shorter."""
        declared = len(body) if length is None else length
        lines = [f"POST {target} HTTP/1.1", "Host: localhost", f"Content-Length: {declared}", *fields, "", ""]
        self.send("\r\n".join(lines).encode("latin-1"), body)

    def ask(self, target: str = "/", *fields: str) -> Answer:
        """Send a GET request and receive its answer."""
        self.get(target, *fields)
        return self.answer()

    def finish(self) -> None:
        """Send no more, but go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Go away so that the server sees a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def has_news(self, within_s: float) -> bool:
        """Whether something arrives, also an end, within so many seconds."""
        return bool(self._unread) or bool(select.select([self.socket], [], [], within_s)[0])

    def drip(self, piece: bytes, times: int, every_s: float = 0.02) -> int:
        """Send a piece so many times, each when nothing has arrived for a while; how many were sent."""
        for sent in range(times):
            if self.has_news(every_s):
                return sent
            self.send(piece)
        return times

    def receive_until(self, wanted: Callable[[bytes], bool]) -> bytes:
        """Bytes up to where `wanted` is content with them; they stay unread. CutShortError before that."""
        while not wanted(self._unread):
            self._receive()
        return self._unread

    def end(self) -> bytes:
        """What arrives until the server closes; raises CutShortError for a reset."""
        try:
            while True:
                self._receive()
        except CutShortError as end:
            if end.was_reset:
                raise
            return end.received

    def was_reset(self) -> bool:
        """Whether the connection ends in a reset; reads all that comes before."""
        try:
            self.end()
        except CutShortError:
            return True
        return False

    def answer(self, method: str = "GET") -> Answer:
        """The next final answer; raises CutShortError when it is not complete."""
        while True:
            status, fields = self._head()
            if status >= 200:
                break
        answer = Answer(status, fields, b"")
        coding, length = answer.field("transfer-encoding"), answer.field("content-length")
        if method == "HEAD" or status in (204, 304):
            return answer
        if coding is not None:
            assert (coding, length) == ("chunked", None)
            return Answer(status, fields, self._chunks())
        if length is not None:
            return Answer(status, fields, self._take(int(length)))
        assert answer.field("connection") == "close"
        body = self.end()
        self._unread = b""
        return Answer(status, fields, body)

    def _head(self) -> tuple[int, list[tuple[str, str]]]:
        lines = self._line(b"\r\n\r\n").split(b"\r\n")
        status = STATUS_LINE.match(lines[0])
        assert status is not None, lines[0]
        fields = []
        for line in lines[1:]:
            field = FIELD_LINE.match(line)
            assert field is not None, line
            fields.append((field[1].decode("latin-1"), field[2].decode("latin-1")))
        return int(status[1]), fields

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._line(b"\r\n"), 16):
            body += self._take(size)
            assert self._take(2) == b"\r\n"
        assert self._take(2) == b"\r\n"
        return body

    def chunk(self) -> bytes:
        """The next chunk of a chunked answer whose head was read with `head`."""
        data = self._take(int(self._line(b"\r\n"), 16))
        assert self._take(2) == b"\r\n"
        return data

    def head(self) -> int:
        """Status of the next answer, whose body is read with `chunk`."""
        return self._head()[0]

    def _line(self, end: bytes) -> bytes:
        received = self.receive_until(lambda bytes_: end in bytes_)
        line, self._unread = received.split(end, 1)
        return line

    def _take(self, size: int) -> bytes:
        received = self.receive_until(lambda bytes_: len(bytes_) >= size)
        self._unread = received[size:]
        return received[:size]

    def _receive(self) -> None:
        try:
            received = self.socket.recv(1 << 20)
        except ConnectionResetError:
            raise CutShortError(self._unread, was_reset=True) from None
        if not received:
            raise CutShortError(self._unread, was_reset=False)
        self._unread += received
