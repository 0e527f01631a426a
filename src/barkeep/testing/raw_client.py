"""A strict HTTP/1.1 client on a bare socket: an answer that is not exactly as RFC 9112 says fails the test.

It waits for bytes, never for time; a server that stays silent fails the test after TIMEOUT_S.
"""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from typing_extensions import Self

Address = tuple[str, int]
Framing = Literal["none", "length", "chunked", "close"]

# Far above what any answer takes; only a server that hangs meets it.
TIMEOUT_S = 10.0
RECEIVE_BYTES = 64 * 1024

STATUS_LINE = re.compile(rb"HTTP/1\.1 ([2-9][0-9]{2}|1[0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)")
FIELD_LINE = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?"
    rb"([\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?"
)
STATUS_LINE_BEGINS = b"HTTP/1.1 "
CHUNK_SIZE = re.compile(rb"[0-9a-f]{1,16}")


class WrongAnswer(AssertionError):
    """The server sent what RFC 9112 does not allow."""


class CutAnswer(WrongAnswer):
    """The connection ended within an answer. was_reset: by a reset, not by an orderly close."""

    def __init__(self, where: str, was_reset: bool) -> None:
        super().__init__(f"the connection was {'reset' if was_reset else 'closed'} within {where}")
        self.was_reset = was_reset


@dataclass(frozen=True)
class Head:
    """Status line and fields of an answer, in order."""

    status: int
    reason: str
    fields: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        """Every value of a field."""
        return [value for found, value in self.fields if found.lower() == name.lower()]

    def field(self, name: str) -> str:
        """The value of a field that must be there once."""
        values = self.all(name)
        if len(values) != 1:
            raise WrongAnswer(f"{name} is there {len(values)} times in {self.fields}")
        return values[0]

    def has(self, name: str) -> bool:
        """Whether the field is there at all."""
        return bool(self.all(name))

    def framing(self, method: str) -> Framing:
        """How the end of the body is known (RFC 9112 section 6.3); wrong combinations raise."""
        codings, lengths = self.all("Transfer-Encoding"), self.all("Content-Length")
        if (codings and lengths) or len(lengths) > 1 or codings not in ([], ["chunked"]):
            raise WrongAnswer(f"framed by {codings} and {lengths}")
        if lengths and not re.fullmatch("[0-9]+", lengths[0]):
            raise WrongAnswer(f"Content-Length is {lengths[0]!r}")
        if (self.status < 200 or self.status == 204) and (codings or lengths):
            raise WrongAnswer(f"{self.status} with {codings or lengths} (RFC 9110 8.6, RFC 9112 6.1)")
        if method == "HEAD" or self.status < 200 or self.status in (204, 304):
            return "none"
        if codings:
            return "chunked"
        if lengths:
            return "length"
        if self.all("Connection") != ["close"]:
            raise WrongAnswer("a body without framing, and no Connection: close")
        return "close"


@dataclass(frozen=True)
class Answer:
    """One complete answer. interim: the 1xx answers before it. chunks: as they were cut on the wire."""

    head: Head
    body: bytes
    framing: Framing
    chunks: tuple[bytes, ...] = ()
    interim: tuple[Head, ...] = ()

    @property
    def status(self) -> int:
        """The status code."""
        return self.head.status


class Client:
    """One connection, to host and port or to the path of a unix socket. Closes its socket when left."""

    def __init__(self, address: Address | str, *, timeout_s: float = TIMEOUT_S) -> None:
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout_s)
            self.socket.connect(address)
        else:
            self.socket = socket.create_connection(address, timeout=timeout_s)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send all of it. A server that has closed already is no fault here: what it answered tells."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def finish(self) -> None:
        """Send no more; reading goes on."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def ask(self, request: bytes) -> Answer:
        """Send one request and read its answer."""
        self.send(request)
        return self.read_answer(request.split(b" ", 1)[0].lstrip(b"\r\n").decode("latin-1"))

    def read_answer(self, method: str = "GET") -> Answer:
        """The next answer, complete, with the interim ones before it."""
        interim = []
        while (head := self.read_head()).status < 200:
            head.framing(method)
            interim.append(head)
        framing = head.framing(method)
        if framing == "chunked":
            chunks = []
            while chunk := self.read_chunk():
                chunks.append(chunk)
            return Answer(head, b"".join(chunks), framing, tuple(chunks), tuple(interim))
        body = b""
        if framing == "length":
            body = self.read_bytes(int(head.field("Content-Length")))
        elif framing == "close":
            body = self.read_to_end()
        return Answer(head, body, framing, (), tuple(interim))

    def read_head(self) -> Head:
        """The next status line and its fields, to the empty line."""
        line = self._read_line("a status line")
        status = STATUS_LINE.fullmatch(line)
        if status is None:
            raise WrongAnswer(f"no status line: {line!r}")
        fields = []
        while line := self._read_line("the fields"):
            field = FIELD_LINE.fullmatch(line)
            if field is None:
                raise WrongAnswer(f"no field line: {line!r}")
            fields.append((field[1].decode("latin-1"), (field[2] or b"").decode("latin-1")))
        return Head(int(status[1]), status[2].decode("latin-1"), tuple(fields))

    def read_chunk(self) -> bytes:
        """The next chunk of a chunked body; b"" for the last one, which must have no trailers."""
        line = self._read_line("a chunk size")
        if not CHUNK_SIZE.fullmatch(line):
            raise WrongAnswer(f"no chunk size: {line!r}")
        size = int(line, 16)
        chunk = self.read_bytes(size)
        if self.read_bytes(2) != b"\r\n":
            raise WrongAnswer("a chunk is not followed by CRLF")
        return chunk

    def read_bytes(self, count: int) -> bytes:
        """Exactly so many bytes."""
        pieces = [self._held]
        missing = count - len(self._held)
        while missing > 0:
            piece = self._receive("the body")
            pieces.append(piece)
            missing -= len(piece)
        data = b"".join(pieces)
        self._held = data[count:]
        return data[:count]

    def read_to_end(self) -> bytes:
        """All until the server closes in order."""
        pieces = [self._held]
        self._held = b""
        while True:
            try:
                piece = self.socket.recv(RECEIVE_BYTES)
            except ConnectionResetError:
                raise CutAnswer("what was read to the end", was_reset=True) from None
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)

    def read_to_reset(self) -> bytes:
        """All until the server resets the connection; an orderly close is wrong."""
        pieces = [self._held]
        self._held = b""
        while True:
            try:
                piece = self.socket.recv(RECEIVE_BYTES)
            except ConnectionResetError:
                return b"".join(pieces)
            if not piece:
                raise WrongAnswer(f"closed in order after {b''.join(pieces)[-200:]!r}")
            pieces.append(piece)

    def skip_to_status_line(self) -> None:
        """Pass over a body of whatever framing, to where another answer begins or the connection ends."""
        while STATUS_LINE_BEGINS not in self._held:
            self._held = self._held[-len(STATUS_LINE_BEGINS) :] + self._receive("a body that was passed over")
        self._held = self._held[self._held.index(STATUS_LINE_BEGINS) :]

    def expect_close(self) -> None:
        """The server closes in order and sends nothing before."""
        rest = self.read_to_end()
        if rest:
            raise WrongAnswer(f"bytes after the last answer: {rest[:200]!r}")

    def _read_line(self, where: str) -> bytes:
        while b"\r\n" not in self._held:
            self._held += self._receive(where)
        line, self._held = self._held.split(b"\r\n", 1)
        return line

    def _receive(self, where: str) -> bytes:
        try:
            piece = self.socket.recv(RECEIVE_BYTES)
        except ConnectionResetError:
            raise CutAnswer(where, was_reset=True) from None
        if not piece:
            raise CutAnswer(where, was_reset=False)
        return piece


def ask(address: Address, request: bytes) -> Answer:
    """One request on a connection of its own."""
    with Client(address) as client:
        return client.ask(request)
