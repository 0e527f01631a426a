"""Steps 4 to 6 from outside - applications that keep what is theirs no more, or use it from elsewhere."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import ExitStack
from typing import Any

import pytest

from barkeep.errors import BarkeepError
from tests.behaviour.clients import WAIT_S, CutShortError
from tests.behaviour.kinds import Connect, Serve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

TEXT = ("Content-Type", "text/plain")


SHOW_DESCRIPTORS = """
import os
for number in range(3, 256):
    try:
        print(os.readlink(f"/proc/self/fd/{number}"))
    except OSError:
        pass
"""


def test_input_of_an_answered_request_never_reads_the_next_one(
    serve: Serve, connect: Connect, cleanup: ExitStack
) -> None:
    inputs: list[Any] = []
    has_begun, may_read = threading.Event(), threading.Event()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        inputs.append(environ["wsgi.input"])
        body = b""
        if environ["PATH_INFO"] == "/second":
            has_begun.set()
            may_read.wait()
            body = environ["wsgi.input"].read()
        start_response("200 OK", [TEXT])
        return [body]

    # Both are streamed, and the first is left unread.
    client = connect(serve(application, request_buffer=0))
    cleanup.callback(may_read.set)
    client.post("/first", b"first" * 10)
    assert client.answer().status == 200
    client.post("/second", b"second" * 10)
    assert has_begun.wait(WAIT_S)
    try:
        kept = inputs[0].read()
    except (BarkeepError, OSError, ValueError):
        kept = b""
    assert b"second" not in kept
    may_read.set()
    assert client.answer().body == b"second" * 10


def test_write_of_an_answered_request_never_writes_into_the_next_one(
    serve: Serve, connect: Connect, cleanup: ExitStack
) -> None:
    writes: list[Any] = []
    raised: list[BaseException] = []

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        writes.append(start_response("200 OK", [TEXT]))
        if len(writes) == 2:
            try:
                writes[0](b"stale")
            except BarkeepError as error:
                raised.append(error)
        return [b"own"]

    client = connect(serve(application))
    assert [client.ask().body for _ in range(3)] == [b"own"] * 3
    assert len(raised) == 1


def test_input_that_another_thread_reads_is_refused_and_stays_whole(
    serve: Serve, connect: Connect, cleanup: ExitStack
) -> None:
    inputs: list[Any] = []
    is_reading = threading.Event()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        inputs.append(environ["wsgi.input"])
        is_reading.set()
        body = environ["wsgi.input"].read()
        start_response("200 OK", [TEXT])
        return [body]

    client = connect(serve(application, request_buffer=0))
    client.post("/", b"", "Expect: 100-continue", length=10)
    # 100 Continue: the application reads, and waits for the client.
    client.receive_until(lambda received: b"100" in received)
    assert is_reading.is_set()
    with pytest.raises(RuntimeError, match="another thread"):
        inputs[0].read()
    client.send(b"0123456789")
    assert client.answer().body == b"0123456789"


def test_answer_may_be_written_by_another_thread(serve: Serve, connect: Connect) -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [TEXT])
        writer = threading.Thread(target=write, args=(b"from afar, ",))
        writer.start()
        writer.join()
        return [b"and from here"]

    assert connect(serve(application)).ask().body == b"from afar, and from here"


def test_environ_may_be_kept_and_emptied(serve: Serve, connect: Connect) -> None:
    kept: list[WSGIEnvironment] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        kept.append(dict(environ))
        environ.clear()
        start_response("200 OK", [TEXT])
        return [b"done"]

    client = connect(serve(application, threads=1))
    for path in ("/a", "/b"):
        assert client.ask(path).body == b"done"
    assert [environ["PATH_INFO"] for environ in kept] == ["/a", "/b"]
    assert kept[0]["wsgi.version"] == (1, 0)


def test_programs_that_the_application_starts_inherit_no_socket(serve: Serve, connect: Connect) -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # Everything that may be inherited is.
        found = subprocess.run(
            [sys.executable, "-c", SHOW_DESCRIPTORS], stdout=subprocess.PIPE, check=True, close_fds=False
        ).stdout
        start_response("200 OK", [TEXT])
        return [found]

    server = serve(application)
    idle = connect(server)
    assert b"socket:" not in idle.ask().body


def test_producer_that_waits_for_a_slow_reader_is_let_go_by_a_stop(serve: Serve, connect: Connect) -> None:
    closed = threading.Event()

    class Endless:
        def __iter__(self) -> Endless:
            return self

        def __next__(self) -> bytes:
            return bytes(100_000)

        def close(self) -> None:
            closed.set()

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return Endless()

    server = serve(application, threads=1)
    client = connect(server, is_slow=True)
    client.get()
    client.receive_until(lambda received: b"\r\n\r\n" in received)
    assert server.stop(graceful_timeout=0) is False
    assert closed.is_set()
    with pytest.raises(CutShortError):
        client.answer()


def test_reader_that_waits_for_a_slow_upload_is_let_go_by_a_stop(serve: Serve, connect: Connect) -> None:
    raised: list[BaseException] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            raised.append(error)
            raise
        start_response("200 OK", [TEXT])
        return [b"never"]

    server = serve(application, request_buffer=0, threads=1)
    client = connect(server)
    client.post("/", b"", "Expect: 100-continue", length=10)
    client.receive_until(lambda received: b"100" in received)
    assert server.stop(graceful_timeout=0) is False
    assert len(raised) == 1
