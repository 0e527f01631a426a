"""RFC 9112 section 5, Field Syntax, and RFC 6585 section 5: what is refused, and how much is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apps import GET, echo, environ_of
from tests.raw_client import Client, ask

if TYPE_CHECKING:
    from tests.apps import Serve


def check_refused(serve: Serve, lines: bytes, status: int, **settings: object) -> None:
    """A request with these field lines is refused, and what follows is never read as one."""
    with Client(serve(echo, **settings).address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n" + GET)
        assert client.read_answer().status == status
        client.expect_close()


@pytest.mark.parametrize(
    "line",
    [
        b"Name : value", b"Name\t: value", b": value", b"Name", b"Na me: value", b"Na(me: value",
        b"N\xc3\xa9: v", b"Name\x00: v", b"\xa0Name: v", b"Name\x85: v", b"Transfer-Encoding : chunked",
        b"Content-Length : 5",
    ],
)  # fmt: skip
def test_malformed_field_name_is_refused(serve: Serve, line: bytes) -> None:
    check_refused(serve, line + b"\r\n", 400)


@pytest.mark.parametrize("byte", [*range(9), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F])
def test_control_byte_in_a_value_is_refused(serve: Serve, byte: int) -> None:
    check_refused(serve, b"X-A: a" + bytes([byte]) + b"b\r\n", 400)


@pytest.mark.parametrize("fold", [b"\r\n b", b"\r\n\tb", b"\r\n "])
def test_folded_line_is_refused(serve: Serve, fold: bytes) -> None:
    check_refused(serve, b"X-A: a" + fold + b"\r\n", 400)


def test_whitespace_around_a_value_is_no_part_of_it_and_only_space_and_tab_are_whitespace(
    serve: Serve,
) -> None:
    request = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: \t b c\t \r\nX-B:\xa0\x85\r\n\r\n"
    environ = environ_of(ask(serve(echo).address, request).body)
    assert (environ["HTTP_X_A"], environ["HTTP_X_B"]) == ("b c", "\xa0\x85")


@pytest.mark.parametrize("limit", [100, 3])
def test_one_field_more_than_the_limit_is_refused_with_431(serve: Serve, limit: int) -> None:
    lines = b"".join(b"X-%d: a\r\n" % number for number in range(limit - 1))
    request = b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n"
    assert ask(serve(echo, request_fields_limit=limit).address, request).status == 200
    check_refused(serve, lines + b"X-One-More: a\r\n", 431, request_fields_limit=limit)


@pytest.mark.parametrize("limit", [65_536, 9000])
def test_head_larger_than_the_limit_is_refused_with_431(serve: Serve, limit: int) -> None:
    around = len(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: \r\n\r\n")
    settings = {"request_head_limit": limit}
    fitting = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"x" * (limit - around) + b"\r\n\r\n"
    assert ask(serve(echo, **settings).address, fitting).status == 200
    check_refused(serve, b"X-A: x" + b"x" * (limit - around) + b"\r\n", 431, **settings)


def test_head_without_end_is_refused_as_soon_as_it_is_too_large(serve: Serve) -> None:
    with Client(serve(echo).address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"x" * 70_000)
        assert client.read_answer().status == 431
        client.expect_close()


def test_refusal_is_read_by_a_client_that_still_sends(serve: Serve) -> None:
    with Client(serve(echo).address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n" + b"x" * 200_000)
        assert client.read_answer().status == 400
        client.expect_close()
