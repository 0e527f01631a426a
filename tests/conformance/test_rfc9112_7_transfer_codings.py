"""RFC 9112 section 7, Transfer Codings: chunked in both directions, strict and bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apps import GET, PLAIN, echo, echo_body, environ_of, received_body, streaming
from tests.raw_client import Client, ask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.apps import Serve

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
BUFFERS = pytest.mark.parametrize("request_buffer", [0, 1024 * 1024], ids=["streamed", "received whole"])


@BUFFERS
@pytest.mark.parametrize(
    ("body", "decoded"),
    [
        (b"0\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"1\r\na\r\n2\r\nbc\r\nA\r\n0123456789\r\n0\r\n\r\n", b"abc0123456789"),
        (b"00005\r\nhello\r\n000\r\n\r\n", b"hello"),
        (b'5;a=b;c="d \\" e";f\r\nhello\r\n0;last\r\n\r\n', b"hello"),
        (b"7\r\na\r\n0\r\n\r\r\n0\r\n\r\n", b"a\r\n0\r\n\r"),
        (b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n", b"hello"),
    ],
)
def test_chunked_body_is_decoded_and_the_next_request_found(
    serve: Serve, body: bytes, decoded: bytes, request_buffer: int
) -> None:
    with Client(serve(echo, request_buffer=request_buffer).address) as client:
        client.send(HEAD + body + GET)
        first = client.read_answer()
        assert received_body(first.body) == decoded
        assert environ_of(client.read_answer().body)["REQUEST_METHOD"] == "GET"


@BUFFERS
@pytest.mark.parametrize(
    "body",
    [
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5_\r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b";a\r\nhello\r\n0\r\n\r\n",
        b"5h\r\nhello\r\n0\r\n\r\n",
        b"00000000000000005\r\nhello\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhelloX0\r\n\r\n",
        b"5\r\nhello\r\r\n0\r\n\r\n",
        b"5\r\nhellohello\r\n0\r\n\r\n",
        b"5\r\nhell\r\n0\r\n\r\n",
        b"5;a b\r\nhello\r\n0\r\n\r\n",
        b"5;\x00\r\nhello\r\n0\r\n\r\n",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"5;" + b"a" * 1000 + b"\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX-Sum : 1\r\n\r\n",
        b"5\r\nhello\r\n0\r\n folded\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX-Sum: 1\n\r\n",
        b"5\r\nhello\r\n0\r\n\n",
    ],
)
def test_malformed_chunk_is_refused_and_nothing_behind_it_is_read(
    serve: Serve, body: bytes, request_buffer: int
) -> None:
    with Client(serve(echo, request_buffer=request_buffer).address) as client:
        client.send(HEAD + body + GET + GET)
        assert client.read_answer().status == 400
        client.expect_close()


@BUFFERS
def test_trailer_section_is_bounded(serve: Serve, request_buffer: int) -> None:
    with Client(serve(echo, request_buffer=request_buffer).address) as client:
        client.send(HEAD + b"5\r\nhello\r\n0\r\n" + b"X-A: b\r\n" * 3000 + b"\r\n" + GET)
        assert client.read_answer().status == 431
        client.expect_close()


@BUFFERS
def test_chunk_extensions_that_outweigh_the_data_are_refused(serve: Serve, request_buffer: int) -> None:
    with Client(serve(echo, request_buffer=request_buffer).address) as client:
        client.send(HEAD + (b"1;" + b"a" * 200 + b"\r\nx\r\n") * 1000 + b"0\r\n\r\n" + GET)
        assert client.read_answer().status == 400
        client.expect_close()


def test_trailers_never_reach_the_environ(serve: Serve) -> None:
    body = b"5\r\nhello\r\n0\r\nX-Role: admin\r\nHost: evil\r\nContent-Length: 9\r\n\r\n"
    environ = environ_of(ask(serve(echo).address, HEAD + body).body)
    assert "HTTP_X_ROLE" not in environ
    assert (environ["HTTP_HOST"], environ["CONTENT_LENGTH"]) == ("a", "5")


def test_te_field_changes_nothing(serve: Serve) -> None:
    request = GET.replace(b"\r\n\r\n", b"\r\nTE: trailers, gzip;q=1\r\nConnection: TE\r\n\r\n")
    answer = ask(serve(streaming(b"a", b"b")).address, request)
    assert (answer.framing, answer.body) == ("chunked", b"ab")


def test_answer_of_unknown_length_is_chunked_and_ends_with_an_empty_chunk(serve: Serve) -> None:
    request = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with Client(serve(streaming(b"hello", b"x" * 17)).address) as client:
        client.send(request)
        received = client.read_to_end()
    body = received.split(b"\r\n\r\n", 1)[1]
    assert body == b"5\r\nhello\r\n11\r\n" + b"x" * 17 + b"\r\n0\r\n\r\n"


def test_http_10_is_never_answered_in_chunks(serve: Serve) -> None:
    answer = ask(serve(streaming(b"a", b"b")).address, b"GET / HTTP/1.0\r\nTE: chunked\r\n\r\n")
    assert (answer.framing, answer.body) == ("close", b"ab")


def test_answer_may_begin_before_the_request_body_has_ended(serve: Serve) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        while line := environ["wsgi.input"].readline():
            yield line.upper()

    with Client(serve(application, request_buffer=0).address) as client:
        client.send(HEAD + b"4\r\none\n\r\n")
        client.read_head()
        assert client.read_chunk() == b"ONE\n"
        client.send(b"4\r\ntwo\n\r\n")
        assert client.read_chunk() == b"TWO\n"
        client.send(b"0\r\n\r\n")
        assert client.read_chunk() == b""
        assert client.ask(HEAD + b"0\r\n\r\n").body == b""


@BUFFERS
def test_many_small_chunks_arrive_whole(serve: Serve, request_buffer: int) -> None:
    pieces = [bytes([65 + number % 26]) * (number % 5 + 1) for number in range(5000)]
    data = HEAD + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    assert ask(serve(echo_body, request_buffer=request_buffer).address, data).body == b"".join(pieces)
