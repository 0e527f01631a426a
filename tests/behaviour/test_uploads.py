"""Steps 3 to 5 from outside - uploads: whole or not at all, bounded, and with back-pressure."""

from __future__ import annotations

import hashlib
import select
import threading
from contextlib import ExitStack

import pytest

from barkeep.errors import RequestBodyError
from tests.behaviour.clients import Client, CutShortError
from tests.behaviour.kinds import Connect, Serve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

KIB = 1024
MIB = 1024 * KIB
TEXT = ("Content-Type", "text/plain")
CHUNKED = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


class Reader:
    """An application that reads all of the body, and remembers what came of it."""

    def __init__(self) -> None:
        self.calls = 0
        self.raised: list[BaseException] = []
        self.done = threading.Event()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.calls += 1
        try:
            body = environ["wsgi.input"].read()
        except OSError as error:
            self.raised.append(error)
            raise
        finally:
            self.done.set()
        start_response("200 OK", [TEXT])
        return [hashlib.sha256(body).hexdigest().encode()]


class LaterReader:
    """An application that reads the body when it may, in pieces."""

    def __init__(self) -> None:
        self.called, self.may_read = threading.Event(), threading.Event()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.called.set()
        self.may_read.wait()
        size = 0
        while piece := environ["wsgi.input"].read(64 * KIB):
            size += len(piece)
        start_response("200 OK", [TEXT])
        return [str(size).encode()]


def ignore(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Do not look at the body."""
    start_response("200 OK", [TEXT])
    return [b"ignored"]


def send_until_the_kernel_takes_no_more(client: Client, limit: int) -> int:
    """Bytes the kernels on both sides took; waits a moment each time that they are full."""
    sent, piece = 0, bytes(256 * KIB)
    client.socket.setblocking(False)
    while sent < limit and select.select([], [client.socket], [], 0.5)[1]:
        sent += client.socket.send(piece[: limit - sent])
    client.socket.settimeout(20)
    return sent


@pytest.mark.parametrize("cut", ["declared", "chunked"])
def test_truncated_upload_never_reaches_the_application(serve: Serve, connect: Connect, cut: str) -> None:
    application = Reader()
    client = connect(serve(application))
    if cut == "declared":
        client.post("/", bytes(50), length=100)
    else:
        client.send(CHUNKED, b"64\r\n", bytes(50))
    client.finish()
    assert client.answer().status == 400
    assert client.end() == b""
    assert application.calls == 0


@pytest.mark.parametrize("cut", ["declared", "chunked", "between chunks"])
def test_truncated_upload_that_is_streamed_raises_and_is_answered_400(
    serve: Serve, connect: Connect, cut: str
) -> None:
    application = Reader()
    client = connect(serve(application, request_buffer=KIB))
    if cut == "declared":
        client.post("/", bytes(5000), length=10_000)
    elif cut == "chunked":
        client.send(CHUNKED, b"2710\r\n", bytes(5000))
    else:
        client.send(CHUNKED, b"1388\r\n", bytes(5000), b"\r\n")
    client.finish()
    assert client.answer().status == 400
    assert client.end() == b""
    assert [type(error) for error in application.raised] == [RequestBodyError]


def test_upload_cut_by_a_reset_raises_in_the_application(serve: Serve, connect: Connect) -> None:
    application = Reader()
    server = serve(application, request_buffer=KIB, threads=1)
    client = connect(server)
    client.post("/", bytes(5000), length=10_000)
    client.reset()
    assert application.done.wait(20)
    # The one thread has come back.
    assert connect(server).ask().status == 200
    assert [type(error) for error in application.raised] == [RequestBodyError]


def test_malformed_chunk_of_a_streamed_upload_raises_and_is_answered_400(
    serve: Serve, connect: Connect
) -> None:
    application = Reader()
    client = connect(serve(application, request_buffer=KIB))
    client.send(CHUNKED, b"1388\r\n", bytes(5000), b"\r\n+5\r\nhello\r\n0\r\n\r\n")
    assert client.answer().status == 400
    assert client.end() == b""
    assert [type(error) for error in application.raised] == [RequestBodyError]


def test_upload_larger_than_the_buffer_arrives_whole(serve: Serve, connect: Connect) -> None:
    client = connect(serve(Reader(), request_buffer=64 * KIB))
    body = bytes(range(256)) * 20_000
    client.post("/", body)
    assert client.answer().body == hashlib.sha256(body).hexdigest().encode()
    assert client.ask().status == 200


def test_upload_that_nobody_reads_stays_with_the_client(
    serve: Serve, connect: Connect, cleanup: ExitStack
) -> None:
    application = LaterReader()
    client = connect(serve(application))
    cleanup.callback(application.may_read.set)
    total = 200 * MIB
    client.post("/", b"", length=total)
    sent = send_until_the_kernel_takes_no_more(client, total)
    # What the kernels of both sides hold, and a buffer of ours; not the upload.
    assert sent < 32 * MIB
    assert application.called.is_set()


def test_upload_goes_on_when_the_application_reads(
    serve: Serve, connect: Connect, cleanup: ExitStack
) -> None:
    application = LaterReader()
    client = connect(serve(application))
    cleanup.callback(application.may_read.set)
    total = 48 * MIB
    client.post("/", b"", length=total)
    sent = send_until_the_kernel_takes_no_more(client, total)
    application.may_read.set()
    client.send(bytes(total - sent))
    assert client.answer().body == str(total).encode()


def test_chunked_upload_that_nobody_reads_stays_with_the_client(
    serve: Serve, connect: Connect, cleanup: ExitStack
) -> None:
    application = LaterReader()
    client = connect(serve(application))
    cleanup.callback(application.may_read.set)
    client.send(CHUNKED, b"C800000\r\n")
    assert send_until_the_kernel_takes_no_more(client, 200 * MIB) < 32 * MIB
    assert application.called.wait(20)


def test_declared_body_above_the_limit_is_refused_before_it_is_read(serve: Serve, connect: Connect) -> None:
    application = Reader()
    client = connect(serve(application, max_request_body=1000))
    client.post("/", b"", "Expect: 100-continue", length=1001)
    received = client.receive_until(lambda bytes_: b"\r\n" in bytes_)
    assert received.startswith(b"HTTP/1.1 413 ")
    assert application.calls == 0


@pytest.mark.parametrize("request_buffer", [KIB, MIB])
def test_chunked_body_above_the_limit_is_answered_413(
    serve: Serve, connect: Connect, request_buffer: int
) -> None:
    application = Reader()
    client = connect(serve(application, max_request_body=4000, request_buffer=request_buffer))
    client.send(CHUNKED, b"800\r\n", bytes(2048), b"\r\n", b"800\r\n", bytes(2048), b"\r\n0\r\n\r\n")
    assert client.answer().status == 413
    assert client.end() == b""
    assert application.calls == len(application.raised)


def test_body_beyond_the_memory_for_all_bodies_is_streamed(
    serve: Serve, connect: Connect, cleanup: ExitStack
) -> None:
    application = LaterReader()
    server = serve(application, request_buffer=MIB, request_buffer_total=MIB)
    cleanup.callback(application.may_read.set)
    first, second = connect(server), connect(server)
    first.post("/", bytes(MIB - 1), length=MIB)
    # Nothing is left for the second: its application is called before the body is here.
    second.post("/", bytes(10), length=MIB)
    assert application.called.wait(20)
    application.may_read.set()
    second.send(bytes(MIB - 10))
    assert second.answer().body == str(MIB).encode()
    first.send(b"1")
    assert first.answer().body == str(MIB).encode()


def test_memory_for_all_bodies_is_given_back(serve: Serve, connect: Connect) -> None:
    application = Reader()
    server = serve(application, request_buffer=MIB, request_buffer_total=MIB, threads=1)
    for _ in range(3):
        client = connect(server)
        client.post("/", bytes(MIB))
        assert client.answer().status == 200
        cut = connect(server)
        cut.post("/", bytes(10), length=MIB)
        cut.finish()
        # Refused without the application: it was to be received whole, so there was room for it.
        assert cut.answer().status == 400
    assert application.calls == 3


def test_small_rest_of_an_unread_body_is_read_away(serve: Serve, connect: Connect) -> None:
    client = connect(serve(ignore, request_buffer=KIB))
    client.post("/", bytes(60 * KIB))
    answer = client.answer()
    assert (answer.body, answer.field("connection")) == (b"ignored", None)
    assert client.ask().body == b"ignored"


def test_large_rest_of_an_unread_body_closes_the_connection_after_the_answer(
    serve: Serve, connect: Connect
) -> None:
    client = connect(serve(ignore, request_buffer=KIB))
    client.post("/", bytes(3 * MIB))
    answer = client.answer()
    assert (answer.body, answer.field("connection")) == (b"ignored", "close")
    assert client.end() == b""


def test_rest_of_an_unread_chunked_body_is_read_away_within_a_bound(serve: Serve, connect: Connect) -> None:
    client = connect(serve(ignore, request_buffer=KIB))
    client.send(CHUNKED, b"1388\r\n", bytes(5000), b"\r\n0\r\n\r\n")
    assert client.answer().body == b"ignored"
    client.send(CHUNKED, b"500000\r\n", bytes(5000))
    assert client.answer().body == b"ignored"

    def send_the_rest() -> None:
        client.send(bytes(5 * MIB - 5000))
        client.send(b"\r\n0\r\n\r\n")
        client.ask()

    with pytest.raises((CutShortError, ConnectionError)):
        send_the_rest()


def test_unread_body_is_never_taken_for_a_request(serve: Serve, connect: Connect) -> None:
    client = connect(serve(ignore, request_buffer=0))
    client.post("/", b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert client.answer().body == b"ignored"
    assert client.ask().body == b"ignored"
    client.finish()
    assert client.end() == b""
