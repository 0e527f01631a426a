"""RFC 9112 section 3, Request Line: method, target and Host. The grammar's corners are in tests/cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apps import GET, echo, environ_of
from tests.raw_client import Client, ask

if TYPE_CHECKING:
    from tests.apps import Serve


def check_refused(serve: Serve, request: bytes, status: int, **settings: object) -> None:
    """Refused with this status, closed, and what follows is never read as a request."""
    with Client(serve(echo, **settings).address) as client:
        client.send(request + GET)
        assert client.read_answer().status == status
        client.expect_close()


def line_of(length: int) -> bytes:
    """A request line of so many bytes, its CRLF included."""
    return b"GET /" + b"x" * (length - len(b"GET / HTTP/1.1\r\n")) + b" HTTP/1.1\r\n"


def test_request_line_of_8000_bytes_is_read(serve: Serve) -> None:
    answer = ask(serve(echo).address, line_of(8000) + b"Host: a\r\n\r\n")
    assert len(environ_of(answer.body)["RAW_URI"]) == 8000 - len(b"GET  HTTP/1.1\r\n")


@pytest.mark.parametrize("limit", [8192, 300])
def test_request_line_above_the_limit_is_refused_with_414(serve: Serve, limit: int) -> None:
    assert (
        ask(serve(echo, request_line_limit=limit).address, line_of(limit) + b"Host: a\r\n\r\n").status == 200
    )
    check_refused(serve, line_of(limit + 1) + b"Host: a\r\n\r\n", 414, request_line_limit=limit)


def test_request_line_without_end_is_refused_as_soon_as_it_is_too_long(serve: Serve) -> None:
    with Client(serve(echo).address) as client:
        client.send(b"GET /" + b"x" * 9000)
        assert client.read_answer().status == 414
        client.expect_close()


@pytest.mark.parametrize("method", [b"GE T", b"G(T", b"", b"G\x00T", b"G\xc3\xa9T", b"GET:", b'"GET"'])
def test_method_that_is_no_token_is_refused(serve: Serve, method: bytes) -> None:
    check_refused(serve, method + b" / HTTP/1.1\r\nHost: a\r\n\r\n", 400)


def test_method_longer_than_any_known_is_refused_with_501(serve: Serve) -> None:
    check_refused(serve, b"M" * 100 + b" / HTTP/1.1\r\nHost: a\r\n\r\n", 501)


@pytest.mark.parametrize(
    "line",
    [
        b"GET  / HTTP/1.1",
        b"GET /  HTTP/1.1",
        b"GET\t/ HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b" GET / HTTP/1.1",
        b"GET /a b HTTP/1.1",
    ],
)
def test_request_line_without_exactly_two_spaces_is_refused(serve: Serve, line: bytes) -> None:
    check_refused(serve, line + b"\r\nHost: a\r\n\r\n", 400)


def test_absolute_form_names_the_host_whatever_the_host_field_says(serve: Serve) -> None:
    environ = environ_of(ask(serve(echo).address, b"GET http://b:81/c?d HTTP/1.1\r\nHost: a\r\n\r\n").body)
    assert (environ["HTTP_HOST"], environ["PATH_INFO"], environ["QUERY_STRING"]) == ("b:81", "/c", "d")


def test_absolute_form_of_http_10_names_the_host_without_a_host_field(serve: Serve) -> None:
    environ = environ_of(ask(serve(echo).address, b"GET http://b/c HTTP/1.0\r\n\r\n").body)
    assert (environ["HTTP_HOST"], environ["PATH_INFO"]) == ("b", "/c")


@pytest.mark.parametrize("target", [b"a:80", b"/", b"http://a/", b"*"])
def test_connect_is_refused(serve: Serve, target: bytes) -> None:
    with Client(serve(echo).address) as client:
        client.send(b"CONNECT " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
        assert client.read_answer().status in (400, 405, 501)
        client.expect_close()


def test_asterisk_is_for_options_only(serve: Serve) -> None:
    assert ask(serve(echo).address, b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").status == 200
    check_refused(serve, b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400)


@pytest.mark.parametrize(
    "target", [b"relative", b"/a#b", b"/\xc3\xa9", b"/\x01", b"/%", b"/%4", b"/%zz", b"ftp://a/", b"?x"]
)
def test_target_outside_the_grammar_is_refused(serve: Serve, target: bytes) -> None:
    check_refused(serve, b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n", 400)


@pytest.mark.parametrize(
    "fields",
    [
        b"",
        b"Host: a\r\nHost: a\r\n",
        b"Host: a\r\nhost: b\r\n",
        b"Host: a, b\r\n",
        b"Host: a b\r\n",
        b"Host: a/b\r\n",
        b"Host: u@a\r\n",
    ],
)
def test_host_that_is_not_there_exactly_once_and_valid_is_refused(serve: Serve, fields: bytes) -> None:
    check_refused(serve, b"GET / HTTP/1.1\r\n" + fields + b"\r\n", 400)


@pytest.mark.parametrize("host", [b"a", b"a.example:8000", b"127.0.0.1", b"[::1]:80", b""])
def test_valid_host_reaches_the_application_as_received(serve: Serve, host: bytes) -> None:
    answer = ask(serve(echo).address, b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert environ_of(answer.body)["HTTP_HOST"] == host.decode()


def test_http_10_needs_no_host(serve: Serve) -> None:
    assert "HTTP_HOST" not in environ_of(ask(serve(echo).address, b"GET / HTTP/1.0\r\n\r\n").body)
