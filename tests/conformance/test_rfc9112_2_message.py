"""RFC 9112 section 2, Message: versions, line ends, and what is tolerated before a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apps import GET, answering, echo, environ_of
from tests.raw_client import Client, ask

if TYPE_CHECKING:
    from tests.apps import Serve


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
def test_answer_is_of_version_11_whatever_the_request_is_of(serve: Serve, version: bytes) -> None:
    # A server tells its own version, not that of the client (RFC 9110 section 6.2).
    with Client(serve(answering(b"x")).address) as client:
        client.send(b"GET / " + version + b"\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert client.read_to_end().startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("version", [b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/9.9"])
def test_other_version_is_refused_with_505(serve: Serve, version: bytes) -> None:
    with Client(serve(answering(b"x")).address) as client:
        assert client.ask(b"GET / " + version + b"\r\nHost: a\r\n\r\n").status == 505
        client.expect_close()


@pytest.mark.parametrize(
    "version", [b"HTTP/1", b"HTTP/1.", b"HTTP/1.10", b"http/1.1", b"HTTPS/1.1", b"HTTP/+1.1"]
)
def test_malformed_version_is_refused_with_400(serve: Serve, version: bytes) -> None:
    with Client(serve(answering(b"x")).address) as client:
        assert client.ask(b"GET / " + version + b"\r\nHost: a\r\n\r\n").status == 400
        client.expect_close()


def test_request_of_http_09_is_refused_in_the_form_of_http_11(serve: Serve) -> None:
    with Client(serve(answering(b"x")).address) as client:
        assert client.ask(b"GET /\r\n").status == 400
        client.expect_close()


def test_one_empty_line_before_a_request_is_ignored_also_between_two(serve: Serve) -> None:
    with Client(serve(answering(b"x")).address) as client:
        client.send(b"\r\n" + GET + b"\r\n" + GET)
        assert [client.read_answer().status for _ in range(2)] == [200, 200]


def test_second_empty_line_before_a_request_is_refused(serve: Serve) -> None:
    with Client(serve(answering(b"x")).address) as client:
        client.send(b"\r\n\r\n" + GET)
        assert client.read_answer().status == 400
        client.expect_close()


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
    ],
)
def test_bare_line_feed_or_carriage_return_is_refused_and_nothing_behind_it_is_read(
    serve: Serve, request_bytes: bytes
) -> None:
    with Client(serve(answering(b"x")).address) as client:
        client.send(request_bytes + GET)
        assert client.read_answer().status == 400
        client.expect_close()


@pytest.mark.parametrize("space", [b" ", b"\t", b" X: "])
def test_whitespace_between_request_line_and_first_field_is_refused(serve: Serve, space: bytes) -> None:
    with Client(serve(answering(b"x")).address) as client:
        client.send(b"GET / HTTP/1.1\r\n" + space + b"Host: a\r\n\r\n" + GET)
        assert client.read_answer().status == 400
        client.expect_close()


def test_head_is_read_as_bytes_and_not_as_texts(serve: Serve) -> None:
    # The second byte of a multi-byte character must never pass for a delimiter.
    request = "GET / HTTP/1.1\r\nHost: a\r\nX-A: \u560a\u560d\u2028\x85\r\n\r\n"
    environ = environ_of(ask(serve(echo).address, request.encode()).body)
    assert environ["HTTP_X_A"].encode("latin-1").decode() == "\u560a\u560d\u2028\x85"


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
)
def test_other_protocol_is_refused_in_the_form_of_http_11(serve: Serve, garbage: bytes) -> None:
    with Client(serve(answering(b"x")).address) as client:
        client.send(garbage)
        assert client.read_answer().status in (400, 505)
        client.expect_close()
