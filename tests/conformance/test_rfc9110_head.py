"""RFC 9110 section 9.3.2, HEAD: the fields of a GET and no body, whatever the application gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.apps import GET, PLAIN, answering, streaming
from tests.raw_client import Client

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.apps import Serve

HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
LENGTH = [("Content-Length", "6")]


def writing(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """An application that writes its body."""
    start_response("200 OK", PLAIN)(b"abcdef")
    return []


@pytest.mark.parametrize(
    ("application", "length"),
    [
        (answering(b"abcdef"), ["6"]),
        (answering(b"abc", b"def"), ["6"]),
        (answering(b"abcdef", fields=LENGTH), ["6"]),
        (answering(fields=LENGTH), ["6"]),
        (answering(), []),
        (answering(b"x" * 100_000), ["100000"]),
        (streaming(b"abc", b"def"), []),
        (streaming(b"abc", b"def", fields=LENGTH), ["6"]),
        (streaming(b"abc", b"def", b"ghi", fields=LENGTH), ["6"]),
        (streaming(b"ab", fields=LENGTH), ["6"]),
        (streaming(fields=LENGTH), ["6"]),
        (streaming(b"x" * 100_000, b"y"), []),
        (writing, []),
    ],
)
def test_head_has_no_body_and_leaves_the_connection_usable(
    serve: Serve, application: Any, length: list[str]
) -> None:
    with Client(serve(application).address) as client:
        for _ in range(3):
            answer = client.ask(HEAD)
            assert (answer.status, answer.framing) == (200, "none")
            assert answer.head.all("Content-Length") == length


def test_pipelined_head_and_get_are_told_apart(serve: Serve) -> None:
    with Client(serve(answering(b"abcdef")).address) as client:
        client.send(HEAD + GET + HEAD + GET)
        for method in ("HEAD", "GET", "HEAD", "GET"):
            assert client.read_answer(method).body == (b"abcdef" if method == "GET" else b"")


def test_head_in_lower_case_is_another_method_and_has_a_body(serve: Serve) -> None:
    with Client(serve(answering(b"abcdef")).address) as client:
        client.send(b"head / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.read_answer("head").body == b"abcdef"


def test_refused_head_has_no_body(serve: Serve) -> None:
    with Client(serve(answering(b"x")).address) as client:
        client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n")
        assert client.read_answer("HEAD").status == 400
        client.expect_close()
