"""RFC 9110 sections 8.6, 15.3.5, 15.3.6 and 15.4.5: 204, 205 and 304 never have a body."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apps import GET, PLAIN, answering, streaming
from tests.raw_client import Client

if TYPE_CHECKING:
    from tests.apps import Serve

BODIES = pytest.mark.parametrize("chunks", [[], [b"abc"], [b"abc", b"def"], [b"x" * 100_000]])
MAKERS = pytest.mark.parametrize("make", [answering, streaming])
LENGTHS = pytest.mark.parametrize("length", [None, "0", "3", "100"])
REQUESTS = pytest.mark.parametrize(
    "request_bytes", [GET, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"], ids=["1.1", "1.0"]
)


def fields_with(length: str | None) -> list[tuple[str, str]]:
    """PLAIN and this Content-Length."""
    return [*PLAIN, ("Content-Length", length)] if length is not None else PLAIN


@BODIES
@MAKERS
@LENGTHS
@REQUESTS
def test_204_has_neither_body_nor_length_nor_coding(
    serve: Serve, make: type, chunks: list[bytes], length: str | None, request_bytes: bytes
) -> None:
    application = make(*chunks, status="204 No Content", fields=fields_with(length))
    with Client(serve(application).address) as client:
        for _ in range(2):
            answer = client.ask(request_bytes)
            assert (answer.status, answer.framing) == (204, "none")
            assert not answer.head.has("Content-Length")
            assert not answer.head.has("Transfer-Encoding")


@BODIES
@MAKERS
@LENGTHS
@REQUESTS
def test_304_has_no_body_and_only_the_length_the_application_gives(
    serve: Serve, make: type, chunks: list[bytes], length: str | None, request_bytes: bytes
) -> None:
    application = make(*chunks, status="304 Not Modified", fields=fields_with(length))
    with Client(serve(application).address) as client:
        for _ in range(2):
            answer = client.ask(request_bytes)
            assert (answer.status, answer.framing) == (304, "none")
            assert answer.head.all("Content-Length") == ([] if length is None else [length])
            assert not answer.head.has("Transfer-Encoding")


@BODIES
@MAKERS
@REQUESTS
def test_205_has_a_length_of_zero(
    serve: Serve, make: type, chunks: list[bytes], request_bytes: bytes
) -> None:
    with Client(serve(make(*chunks, status="205 Reset Content")).address) as client:
        for _ in range(2):
            answer = client.ask(request_bytes)
            assert (answer.status, answer.body) == (205, b"")
            assert answer.head.field("Content-Length") == "0"
