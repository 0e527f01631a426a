"""PEP 3333, Handling the Content-Length Header: every answer has a known end, or is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apps import GET, PLAIN, answering, streaming
from tests.raw_client import Client, ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from tests.apps import Serve

GET_10 = b"GET / HTTP/1.0\r\n\r\n"


def declaring(length: int, *chunks: bytes, kind: str) -> WSGIApplication:
    """An application that gives this Content-Length, and its chunks in one of the ways there are."""
    fields = [("Content-Length", str(length))]
    if kind == "list":
        return answering(*chunks, fields=fields)
    if kind == "generator":
        return streaming(*chunks, fields=fields)

    def writing(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", fields)
        for chunk in chunks:
            write(chunk)
        return []

    return writing


KINDS = pytest.mark.parametrize("kind", ["list", "generator", "write"])


class OneChunk:
    """An iterable that knows that it has one chunk."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[bytes]:
        yield b"alone"


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("chunks", [[], [b""], [b"one"], [b"one", b"", b"three"], [b"x" * 100_000] * 3])
def test_list_and_tuple_have_their_length_computed(
    serve: Serve, kind: Callable[[list[bytes]], list[bytes]], chunks: list[bytes]
) -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", PLAIN)
        return kind(chunks)

    with Client(serve(application).address) as client:
        for _ in range(2):
            answer = client.ask(GET)
            assert answer.framing == "length"
            assert answer.body == b"".join(chunks)


def test_iterable_of_one_chunk_has_its_length_computed(serve: Serve) -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> OneChunk:
        start_response("200 OK", PLAIN)
        return OneChunk()

    answer = ask(serve(application).address, GET)
    assert (answer.framing, answer.body) == ("length", b"alone")


@pytest.mark.parametrize("chunks", [[], [b""], [b"", b""]])
def test_empty_generator_is_an_answer_of_length_zero(serve: Serve, chunks: list[bytes]) -> None:
    answer = ask(serve(streaming(*chunks)).address, GET)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.head.field("Content-Length") == "0"


def test_generator_without_length_is_chunked_on_http_11_and_keeps_the_connection(serve: Serve) -> None:
    with Client(serve(streaming(b"a", b"", b"bc")).address) as client:
        for _ in range(2):
            answer = client.ask(GET)
            assert (answer.framing, answer.body) == ("chunked", b"abc")
            assert b"" not in answer.chunks


def test_generator_without_length_ends_with_the_connection_on_http_10(serve: Serve) -> None:
    request = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    answer = ask(serve(streaming(b"a", b"bc")).address, request)
    assert (answer.framing, answer.body) == ("close", b"abc")
    assert answer.head.field("Connection") == "close"


@KINDS
@pytest.mark.parametrize("request_bytes", [GET, GET_10])
def test_length_of_the_application_is_kept(serve: Serve, kind: str, request_bytes: bytes) -> None:
    answer = ask(serve(declaring(6, b"abc", b"def", kind=kind)).address, request_bytes)
    assert answer.head.field("Content-Length") == "6"
    assert (answer.framing, answer.body) == ("length", b"abcdef")


@KINDS
@pytest.mark.parametrize("chunks", [[b"abcdef"], [b"abc", b"def"], [b"ab", b"c", b"def", b"ghi"]])
def test_bytes_beyond_the_length_are_cut_and_logged(
    serve: Serve, capfd: pytest.CaptureFixture[str], kind: str, chunks: list[bytes]
) -> None:
    served = serve(declaring(3, *chunks, kind=kind))
    with Client(served.address) as client:
        # The next answer on the connection shows that not one byte too many was sent.
        assert [client.ask(GET).body for _ in range(2)] == [b"abc"] * 2
    served.stop()
    assert capfd.readouterr().err.count("longer than its Content-Length") == 2


@KINDS
def test_length_zero_lets_no_byte_through(serve: Serve, kind: str) -> None:
    with Client(serve(declaring(0, b"abc", kind=kind)).address) as client:
        assert [client.ask(GET).body for _ in range(2)] == [b""] * 2


@KINDS
@pytest.mark.parametrize("chunks", [[b"abc"], [b"ab", b"c"], [b"x" * 200_000]])
def test_fewer_bytes_than_the_length_never_look_complete(
    serve: Serve, capfd: pytest.CaptureFixture[str], kind: str, chunks: list[bytes]
) -> None:
    served = serve(declaring(300_000, *chunks, kind=kind))
    with Client(served.address) as client:
        client.send(GET)
        client.read_to_reset()
    served.stop()
    assert "shorter than Content-Length" in capfd.readouterr().err


@KINDS
def test_no_bytes_at_all_where_a_length_was_given_never_look_complete(serve: Serve, kind: str) -> None:
    with Client(serve(declaring(5, kind=kind)).address) as client:
        client.send(GET)
        client.read_to_reset()


@pytest.mark.parametrize("count", [1, 32 * 1024, 256 * 1024 + 1, 3_000_001])
def test_large_bodies_arrive_whole_with_and_without_length(serve: Serve, count: int) -> None:
    body = bytes(range(256)) * (count // 256 + 1)
    body = body[:count]
    for application in (answering(body), streaming(body), declaring(count, body, kind="generator")):
        with Client(serve(application).address) as client:
            assert client.ask(GET).body == body
            assert client.ask(GET).body == body
