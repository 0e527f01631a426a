"""PEP 3333, Buffering and Streaming: a chunk is on its way before the next is asked for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.apps import GET, PLAIN
from tests.raw_client import Client, ask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from tests.apps import Serve

WAIT_S = 10.0


def returning(value: Any) -> WSGIApplication:
    """An application that returns anything at all."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        start_response("200 OK", PLAIN)
        return [b"well"] if environ["PATH_INFO"] == "/well" else value

    return application


class Countdown:
    """An iterator that is no generator."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self.count == 0:
            raise StopIteration
        self.count -= 1
        return str(self.count).encode()


class OldSequence:
    """An iterable only by its items, as before Python 2.2."""

    def __getitem__(self, index: int) -> bytes:
        return [b"old ", b"but ", b"iterable"][index]


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
@pytest.mark.parametrize("fields", [[], [("Content-Length", "30")]], ids=["no length", "length"])
def test_each_chunk_reaches_the_client_before_the_next_is_asked_for(
    serve: Serve, version: bytes, fields: list[tuple[str, str]]
) -> None:
    received = threading.Semaphore(0)

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", fields)
        for number in range(10):
            yield b"%03d" % number
            assert received.acquire(timeout=WAIT_S)

    with Client(serve(application).address) as client:
        client.send(b"GET / " + version + b"\r\nHost: a\r\n\r\n")
        head = client.read_head()
        is_chunked = head.framing("GET") == "chunked"
        for number in range(10):
            assert (client.read_chunk() if is_chunked else client.read_bytes(3)) == b"%03d" % number
            received.release()
        if is_chunked:
            assert client.read_chunk() == b""


def test_head_goes_out_with_the_first_chunk_and_not_with_the_second(serve: Serve) -> None:
    is_read = threading.Event()

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b""
        yield b"first"
        assert is_read.wait(WAIT_S)

    with Client(serve(application).address) as client:
        client.send(GET)
        client.read_head()
        assert client.read_chunk() == b"first"
        is_read.set()
        assert client.read_chunk() == b""


@pytest.mark.parametrize(
    ("value", "body"),
    [
        (Countdown(12), b"11109876543210"),
        (OldSequence(), b"old but iterable"),
        ({b"key": 1, b"two": 2}, b"keytwo"),
        (map(bytes, [b"a", b"b"]), b"ab"),
        (iter([]), b""),
        ((), b""),
    ],
)
def test_iterable_of_any_kind_is_sent(serve: Serve, value: object, body: bytes) -> None:
    assert ask(serve(returning(value)).address, GET).body == body


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (None, "NoneType"),
        (5, "int"),
        (b"bytes", "found int"),
        ("text", "found str; encode the text first"),
        ([b"fine", "text"], "found str; encode the text first"),
        ([None], "found NoneType"),
        ([bytearray(b"x")], "found bytearray"),
        ((memoryview(b"x"),), "found memoryview"),
        (iter(["text"]), "found str; encode the text first"),
        (iter([5]), "found int"),
    ],
)
def test_what_is_no_iterable_of_bytes_is_answered_500_with_a_log_line_that_names_it(
    serve: Serve, capfd: pytest.CaptureFixture[str], value: object, fault: str
) -> None:
    served = serve(returning(value))
    assert ask(served.address, GET).status == 500
    assert ask(served.address, GET.replace(b"/ ", b"/well ")).body == b"well"
    served.stop()
    assert fault in capfd.readouterr().err


def test_wrong_chunk_after_a_right_one_aborts(serve: Serve) -> None:
    with Client(serve(returning(iter([b"right", "wrong"]))).address) as client:
        client.send(GET)
        client.read_head()
        assert client.read_chunk() == b"right"
        assert b"wrong" not in client.read_to_reset()


def test_chunks_of_every_size_keep_their_order(serve: Serve) -> None:
    chunks = [bytes([number]) * size for number, size in enumerate([1, 70_000, 2, 300_000, 0, 40_000, 3, 5])]
    answer = ask(serve(returning(iter(chunks))).address, GET)
    assert answer.body == b"".join(chunks)
