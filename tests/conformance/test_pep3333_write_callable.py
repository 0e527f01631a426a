"""PEP 3333, The write() Callable: what it is given comes before the iterable."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.apps import GET, PLAIN
from tests.raw_client import Client, ask

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from tests.apps import Serve


def writing(*chunks: Any, then: Any = ()) -> WSGIApplication:
    """An application that writes, and then returns an iterable."""

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", PLAIN)
        for chunk in chunks:
            write(chunk)
        chunks_left: Iterable[bytes] = then
        return chunks_left

    return application


@pytest.mark.parametrize("then", [(), [], [b"4", b"5"], (b"4", b"5")])
def test_written_bytes_come_before_those_of_the_iterable(serve: Serve, then: Any) -> None:
    with Client(serve(writing(b"1", b"", b"2", b"3", then=then)).address) as client:
        for _ in range(2):
            assert client.ask(GET).body == b"123" + b"".join(then)


def test_written_bytes_come_before_those_of_a_generator(serve: Serve) -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        write = start_response("200 OK", PLAIN)
        write(b"written ")
        yield b"yielded "
        # PEP 3333 asks applications not to do this; ours keeps the order all the same.
        write(b"written between ")
        yield b"yielded last"

    answer = ask(serve(application).address, GET)
    assert answer.body == b"written yielded written between yielded last"


def test_written_bytes_reach_the_client_before_write_is_called_again(serve: Serve) -> None:
    received = threading.Semaphore(0)

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", PLAIN)
        for number in range(5):
            write(b"%d" % number)
            assert received.acquire(timeout=10)
        return []

    with Client(serve(application).address) as client:
        client.send(GET)
        client.read_head()
        for number in range(5):
            assert client.read_chunk() == b"%d" % number
            received.release()
        assert client.read_chunk() == b""


@pytest.mark.parametrize("chunk", ["text", None, 5, bytearray(b"x")])
def test_writing_something_else_than_bytes_is_answered_500(serve: Serve, chunk: object) -> None:
    assert ask(serve(writing(chunk)).address, GET).status == 500


def test_writing_something_else_than_bytes_after_the_head_aborts(serve: Serve) -> None:
    with Client(serve(writing(b"right", "wrong")).address) as client:
        client.send(GET)
        client.read_head()
        assert b"wrong" not in client.read_to_reset()


def test_large_writes_arrive_whole(serve: Serve) -> None:
    chunk = bytes(range(256)) * 4096
    assert ask(serve(writing(chunk, b"-", chunk)).address, GET).body == chunk + b"-" + chunk


def test_write_on_http_10_ends_with_the_connection(serve: Serve) -> None:
    answer = ask(serve(writing(b"a", b"b")).address, b"GET / HTTP/1.0\r\n\r\n")
    assert (answer.framing, answer.body) == ("close", b"ab")


def test_write_that_was_kept_cannot_reach_into_a_later_answer(serve: Serve) -> None:
    kept: list[Any] = []
    raised: list[Exception] = []

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        for write in kept:
            try:
                write(b"from before")
            except Exception as error:
                raised.append(error)
        kept.append(start_response("200 OK", PLAIN))
        return [b"own"]

    with Client(serve(application, threads=1).address) as client:
        assert [client.ask(GET).body for _ in range(3)] == [b"own"] * 3
    assert len(raised) == 1 + 2


def test_start_response_that_was_kept_cannot_reach_into_a_later_answer(serve: Serve) -> None:
    kept: list[StartResponse] = []
    raised: list[Exception] = []

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        for call in kept:
            try:
                call("500 From before", PLAIN)
            except Exception as error:
                raised.append(error)
        kept.append(start_response)
        start_response("200 OK", PLAIN)
        return [b"own"]

    with Client(serve(application, threads=1).address) as client:
        assert [client.ask(GET).status for _ in range(3)] == [200] * 3
    assert len(raised) == 1 + 2
