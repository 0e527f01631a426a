"""RFC 9112 section 4, Status Line: version, three digits, a reason that may be empty, both spaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apps import answering
from tests.raw_client import Client

if TYPE_CHECKING:
    from tests.apps import Serve

CLOSING = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("status", "line"),
    [
        ("200 OK", b"HTTP/1.1 200 OK\r\n"),
        ("200", b"HTTP/1.1 200 \r\n"),
        ("200 ", b"HTTP/1.1 200 \r\n"),
        ("404 Nothing here", b"HTTP/1.1 404 Nothing here\r\n"),
        ("999 \xff", b"HTTP/1.1 999 \xff\r\n"),
    ],
)
def test_status_line_of_the_application_has_its_form(serve: Serve, status: str, line: bytes) -> None:
    with Client(serve(answering(b"x", status=status)).address) as client:
        client.send(CLOSING)
        assert client.read_to_end().startswith(line)


@pytest.mark.parametrize(
    ("request_bytes", "line"),
    [
        (b"bad\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n"),
        (b"GET / HTTP/2.0\r\n\r\n", b"HTTP/1.1 505 HTTP Version Not Supported\r\n"),
        (b"GET /" + b"x" * 9000, b"HTTP/1.1 414 URI Too Long\r\n"),
    ],
)
def test_status_line_of_a_refusal_has_its_form(serve: Serve, request_bytes: bytes, line: bytes) -> None:
    with Client(serve(answering(b"x")).address) as client:
        client.send(request_bytes)
        assert client.read_to_end().startswith(line)
