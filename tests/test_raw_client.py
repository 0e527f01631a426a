"""The strict client of the tests accepts what RFC 9112 allows and nothing else."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

from tests.raw_client import Client, CutAnswer, WrongAnswer


class Server:
    """The other end: says what a test tells it to."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.client = Client(self._listener.getsockname())
        self._socket, _ = self._listener.accept()

    def say(self, data: bytes, *, then_reset: bool = False) -> Client:
        """Send these bytes and close."""
        self._socket.sendall(data)
        if then_reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()
        return self.client

    def close(self) -> None:
        """Close all three sockets."""
        for end in (self._socket, self.client.socket, self._listener):
            end.close()


@pytest.fixture
def server() -> Iterator[Server]:
    """A connection whose other end the test speaks for."""
    server = Server()
    yield server
    server.close()


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("data", "body", "framing"),
    [
        (OK + b"Content-Length: 2\r\n\r\nhi", b"hi", "length"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", b"hi", "chunked"),
        (OK + b"Connection: close\r\n\r\nhi", b"hi", "close"),
        (b"HTTP/1.1 204 \r\nX-A:\r\nX-B: \r\n\r\n", b"", "none"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n", b"", "length"),
    ],
)
def test_well_formed_answer_is_read(server: Server, data: bytes, body: bytes, framing: str) -> None:
    client = server.say(data)
    answer = client.read_answer()
    assert (answer.body, answer.framing) == (body, framing)
    client.expect_close()


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 O\nK\r\nContent-Length: 0\r\n\r\n",
        OK + b"Name : value\r\nContent-Length: 0\r\n\r\n",
        OK + b" folded\r\nContent-Length: 0\r\n\r\n",
        OK + b"Name: a\nb\r\nContent-Length: 0\r\n\r\n",
        OK + b"Name: trailing \r\nContent-Length: 0\r\n\r\n",
        OK + b"Content-Length: +1\r\n\r\nx",
        OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1;a\r\nx\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: a\r\n\r\n",
        OK + b"\r\nno framing and no close",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_answer_that_is_not_well_formed_fails_the_test(server: Server, data: bytes) -> None:
    with pytest.raises(WrongAnswer):
        server.say(data).read_answer()


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200",
        OK,
        OK + b"Content-Length: 2\r\n\r\nh",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n",
    ],
)
@pytest.mark.parametrize("then_reset", [False, True])
def test_answer_that_is_cut_says_how(server: Server, data: bytes, then_reset: bool) -> None:
    with pytest.raises(CutAnswer) as cut:
        server.say(data, then_reset=then_reset).read_answer()
    assert cut.value.was_reset is then_reset


def test_bytes_behind_the_last_answer_fail_the_test(server: Server) -> None:
    client = server.say(OK + b"Content-Length: 2\r\n\r\nhi!")
    assert client.read_answer().body == b"hi"
    with pytest.raises(WrongAnswer, match="bytes after the last answer"):
        client.expect_close()


def test_orderly_close_is_no_reset(server: Server) -> None:
    with pytest.raises(WrongAnswer, match="closed in order"):
        server.say(b"begun").read_to_reset()
