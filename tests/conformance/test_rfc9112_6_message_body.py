"""RFC 9112 section 6, Message Body: one way to know the end of a body, no request after a doubt."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest

from tests.apps import GET, PLAIN, echo, echo_body, environ_of, read_nothing, received_body
from tests.raw_client import Client, ask

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.apps import Serve

CHUNKED_BODY = b"5\r\nhello\r\n0\r\n\r\n"
BUFFERS = pytest.mark.parametrize("request_buffer", [0, 1024 * 1024], ids=["streamed", "received whole"])


def post(*fields: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    """The head of a POST with these field lines."""
    return b"\r\n".join([b"POST / " + version, b"Host: a", *fields, b"", b""])


@BUFFERS
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([b"Content-Length: +5"], 400),
        ([b"Content-Length: -5"], 400),
        ([b"Content-Length: 5 5"], 400),
        ([b"Content-Length: 5, 5"], 400),
        ([b"Content-Length: 5,"], 400),
        ([b"Content-Length: 0x5"], 400),
        ([b"Content-Length: 1_0"], 400),
        ([b"Content-Length: 5.0"], 400),
        ([b"Content-Length: "], 400),
        ([b"Content-Length: \xef\xbc\x95"], 400),
        ([b"Content-Length: \xa05"], 400),
        ([b"Content-Length: 99999999999999999999999"], 413),
        ([b"Content-Length: 5", b"Content-Length: 5"], 400),
        ([b"Content-Length: 5", b"content-length: 6"], 400),
        ([b"Content-Length: 5", b"Transfer-Encoding: chunked"], 400),
        ([b"Transfer-Encoding: chunked", b"Content-Length: 5"], 400),
        ([b"Content-Length: 0", b"Transfer-Encoding: chunked"], 400),
        ([b"Content-Length: 5", b"Transfer-Encoding: identity"], 400),
        ([b"Transfer-Encoding: identity"], 501),
        ([b"Transfer-Encoding: gzip, chunked"], 501),
        ([b"Transfer-Encoding: xchunked"], 501),
        ([b"Transfer-Encoding: chunked, chunked"], 400),
        ([b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"], 400),
        ([b"Transfer-Encoding: chunked, gzip"], 400),
        ([b"Transfer-Encoding: chunked;q=1"], 400),
        ([b"Transfer-Encoding: ,chunked"], 400),
        ([b"Transfer-Encoding: "], 400),
        ([b"Transfer-Encoding: \x0bchunked"], 400),
        ([b"Transfer-Encoding: \xa0chunked"], 400),
    ],
)
def test_doubtful_framing_is_refused_and_nothing_behind_it_is_read(
    serve: Serve, fields: list[bytes], status: int, request_buffer: int
) -> None:
    with Client(serve(echo, request_buffer=request_buffer).address) as client:
        client.send(GET + post(*fields) + CHUNKED_BODY + GET)
        assert client.read_answer().status == 200
        refusal = client.read_answer()
        assert refusal.status == status
        assert refusal.head.field("Connection") == "close"
        client.expect_close()


@BUFFERS
def test_transfer_encoding_on_http_10_is_refused(serve: Serve, request_buffer: int) -> None:
    with Client(serve(echo, request_buffer=request_buffer).address) as client:
        fields = [b"Transfer-Encoding: chunked", b"Connection: keep-alive"]
        client.send(post(*fields, version=b"HTTP/1.0") + CHUNKED_BODY + GET)
        assert client.read_answer().status == 400
        client.expect_close()


def test_request_without_framing_has_no_body(serve: Serve) -> None:
    with Client(serve(echo).address) as client:
        client.send(post() + GET)
        assert received_body(client.read_answer().body) == b""
        assert environ_of(client.read_answer().body)["REQUEST_METHOD"] == "GET"


@BUFFERS
@pytest.mark.parametrize("method", [b"POST", b"PUT", b"GET", b"DELETE", b"OPTIONS", b"ODD"])
def test_every_method_may_have_a_body(serve: Serve, method: bytes, request_buffer: int) -> None:
    with Client(serve(echo_body, request_buffer=request_buffer).address) as client:
        client.send(method + b" / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + GET)
        assert client.read_answer().body == b"hello"
        assert client.read_answer().body == b""


@BUFFERS
@pytest.mark.parametrize(
    "part",
    [post(b"Content-Length: 100") + b"x" * 50, post(b"Transfer-Encoding: chunked") + CHUNKED_BODY[:-2]],
    ids=["length", "chunked"],
)
def test_truncated_body_is_never_taken_for_complete(serve: Serve, part: bytes, request_buffer: int) -> None:
    complete: SimpleQueue[bytes] = SimpleQueue()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        complete.put(environ["wsgi.input"].read())
        start_response("200 OK", PLAIN)
        return [b"complete"]

    with Client(serve(application, request_buffer=request_buffer).address) as client:
        client.send(part)
        client.finish()
        assert client.read_answer().status == 400
        client.expect_close()
    assert complete.empty()


def test_declared_body_above_the_limit_is_refused_with_413_before_it_is_read(serve: Serve) -> None:
    with Client(serve(echo, max_request_body=1000).address) as client:
        assert client.ask(post(b"Content-Length: 1001")).status == 413
        client.expect_close()


@BUFFERS
def test_chunked_body_above_the_limit_is_refused_with_413(serve: Serve, request_buffer: int) -> None:
    settings = {"max_request_body": 1000, "request_buffer": request_buffer}
    with Client(serve(echo, **settings).address) as client:
        client.send(
            post(b"Transfer-Encoding: chunked") + b"3e8\r\n" + b"x" * 1000 + b"\r\n1\r\nx\r\n0\r\n\r\n"
        )
        assert client.read_answer().status == 413
        client.expect_close()


def test_refusal_of_a_large_body_is_read_by_a_client_that_still_sends_it(serve: Serve) -> None:
    with Client(serve(echo, max_request_body=1000).address) as client:
        client.send(post(b"Content-Length: 300000"))
        client.send(b"x" * 300_000)
        assert client.read_answer().status == 413
        client.expect_close()


@pytest.mark.parametrize("bytes_unread", [1, 1000, 60_000])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_little_of_a_body_left_unread_is_read_away_and_the_next_request_is_found(
    serve: Serve, bytes_unread: int, is_chunked: bool
) -> None:
    body = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n" * (bytes_unread // 36 + 1)
    body = body[:bytes_unread]
    framed = b"Content-Length: %d" % len(body)
    if is_chunked:
        framed, body = b"Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    with Client(serve(read_nothing, request_buffer=0).address) as client:
        client.send(post(framed) + body + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        first = client.read_answer()
        assert first.body == b"/"
        if first.head.all("Connection") == ["close"]:
            client.expect_close()
        else:
            assert client.read_answer().body == b"/next"


def test_much_of_a_body_left_unread_closes_the_connection_and_says_so(serve: Serve) -> None:
    with Client(serve(read_nothing, request_buffer=0).address) as client:
        client.send(post(b"Content-Length: 1000000"))
        answer = client.read_answer()
        assert answer.head.field("Connection") == "close"
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
        client.expect_close()


@pytest.mark.parametrize("size", [1, 5, 65_536, 1_048_576, 1_048_577, 3_000_000])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_body_of_any_size_arrives_whole(serve: Serve, size: int, is_chunked: bool) -> None:
    body = (bytes(range(251)) * (size // 251 + 1))[:size]
    if is_chunked:
        pieces = [body[at : at + 100_003] for at in range(0, size, 100_003)]
        data = post(b"Transfer-Encoding: chunked")
        data += b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    else:
        data = post(b"Content-Length: %d" % size) + body
    assert ask(serve(echo_body).address, data).body == body
