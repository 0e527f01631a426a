"""Steps 5 and 6 from outside - what fails is seen: by the client as a cut, by the operator in the log."""

from __future__ import annotations

import subprocess
import sys
import threading
import weakref
from contextlib import ExitStack

import pytest

from tests.behaviour.clients import WAIT_S, Client, CutShortError
from tests.behaviour.kinds import Connect, Serve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

TEXT = ("Content-Type", "text/plain")


class Closing:
    """An iterable that counts how often it was closed."""

    def __init__(self, chunks: Iterator[bytes], closes_with: BaseException | None = None) -> None:
        self._chunks = chunks
        self._closes_with = closes_with
        self.closed = 0
        self.was_closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        self.closed += 1
        self.was_closed.set()
        if self._closes_with is not None:
            raise self._closes_with


def one_chunk_then_error() -> Iterator[bytes]:
    """Fails after its first chunk."""
    yield b"before"
    raise RuntimeError("on purpose")


def raised_by(client: Client) -> CutShortError:
    """How an answer is cut."""
    with pytest.raises(CutShortError) as cut:
        client.answer()
    return cut.value


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_error_mid_stream_is_a_reset_without_a_last_chunk(
    serve: Serve, connect: Connect, version: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return one_chunk_then_error()

    server = serve(application, threads=1)
    client = connect(server)
    client.send(f"GET /streamed HTTP/{version}\r\nHost: localhost\r\n\r\n".encode())
    cut = raised_by(client)
    assert cut.was_reset
    assert b"0\r\n\r\n" not in cut.received
    server.stop()
    log = capfd.readouterr().err
    assert "GET /streamed aborted: the application failed" in log
    assert "RuntimeError: on purpose" in log


@pytest.mark.parametrize("form", ["list", "generator", "write"])
def test_fewer_bytes_than_content_length_are_a_cut(
    serve: Serve, connect: Connect, form: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [TEXT, ("Content-Length", "100")])
        if form == "write":
            write(b"short")
            return []
        return [b"short"] if form == "list" else iter([b"sh", b"ort"])

    server = serve(application)
    client = connect(server)
    client.get()
    raised_by(client)
    server.stop()
    assert "95 bytes shorter than Content-Length" in capfd.readouterr().err


def test_error_before_the_head_is_a_short_500_with_the_traceback_in_the_log_only(
    serve: Serve, connect: Connect, capfd: pytest.CaptureFixture[str]
) -> None:
    def application(_environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
        raise LookupError("secret detail")

    server = serve(application)
    client = connect(server)
    answer = client.ask("/path?query=1")
    assert answer.status == 500
    assert len(answer.body) < 100
    assert b"secret" not in answer.body
    server.stop()
    log = capfd.readouterr().err
    assert "GET /path?query=1 answered 500: the application failed" in log
    assert "LookupError: secret detail" in log
    assert "test_visible_failure.py" in log


def test_application_that_never_calls_start_response_is_named_in_the_log(
    serve: Serve, connect: Connect, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(lambda _environ, _start_response: [b"lost"])
    assert connect(server).ask().status == 500
    server.stop()
    assert "start_response was not called" in capfd.readouterr().err


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError, RecursionError])
def test_thread_survives_whatever_the_application_raises(
    serve: Serve, connect: Connect, kind: type[BaseException]
) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/raise":
            raise kind
        start_response("200 OK", [TEXT])
        return [b"alive"]

    server = serve(application, threads=1)
    assert connect(server).ask("/raise").status == 500
    assert connect(server).ask().body == b"alive"


def test_endless_recursion_is_a_500_and_the_thread_goes_on(serve: Serve, connect: Connect) -> None:
    def deeper() -> bytes:
        return deeper()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return [deeper() if environ["PATH_INFO"] == "/raise" else b"alive"]

    server = serve(application, threads=1)
    assert connect(server).ask("/raise").status == 500
    assert connect(server).ask().body == b"alive"


def test_error_whose_text_is_no_unicode_is_logged_and_the_thread_goes_on(
    serve: Serve, connect: Connect, capfd: pytest.CaptureFixture[str]
) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/raise":
            # A file name that is not UTF-8 comes from os.listdir like this.
            raise FileNotFoundError("no file caf\udce9")
        start_response("200 OK", [TEXT])
        return [b"alive"]

    server = serve(application, threads=1)
    assert connect(server).ask("/raise").status == 500
    assert connect(server).ask().body == b"alive"
    server.stop()
    assert "no file caf" in capfd.readouterr().err


@pytest.mark.parametrize("end", ["\n", ""])
def test_error_stream_takes_text_that_is_no_unicode(
    serve: Serve, connect: Connect, end: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.errors"].write(f"no file caf\udce9{end}")
        start_response("200 OK", [TEXT])
        return [b"alive"]

    server = serve(application, threads=1)
    for _ in range(3):
        assert connect(server).ask().body == b"alive"
    server.stop()
    assert capfd.readouterr().err.count("no file caf") == 3


def test_error_that_cannot_be_printed_is_a_500_and_the_thread_goes_on(serve: Serve, connect: Connect) -> None:
    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise SystemExit

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/raise":
            raise UnprintableError
        start_response("200 OK", [TEXT])
        return [b"alive"]

    server = serve(application, threads=1)
    assert connect(server).ask("/raise").status == 500
    assert connect(server).ask().body == b"alive"


def test_client_that_goes_away_ends_a_generator_and_closes_it_once(
    serve: Serve, connect: Connect, cleanup: ExitStack
) -> None:
    may_go_on = threading.Event()

    def endless() -> Iterator[bytes]:
        yield b"first"
        may_go_on.wait()
        while True:
            yield bytes(100_000)

    iterable = Closing(endless())

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return iterable if environ["PATH_INFO"] == "/endless" else [b"alive"]

    server = serve(application, threads=1)
    cleanup.callback(may_go_on.set)
    client = connect(server)
    client.get("/endless")
    client.receive_until(lambda received: b"first" in received)
    client.reset()
    may_go_on.set()
    assert iterable.was_closed.wait(20)
    assert connect(server).ask().body == b"alive"
    assert iterable.closed == 1


def test_client_that_goes_away_while_the_producer_waits_for_it_frees_the_thread(
    serve: Serve, connect: Connect
) -> None:
    iterable = Closing(iter(lambda: bytes(100_000), b""))

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return iterable if environ["PATH_INFO"] == "/endless" else [b"alive"]

    server = serve(application, threads=1)
    client = connect(server, is_slow=True)
    client.get("/endless")
    client.receive_until(lambda received: b"\r\n\r\n" in received)
    # Waits for the one thread, which comes back only when the client has gone.
    other = connect(server)
    other.get()
    client.reset()
    assert other.answer().body == b"alive"
    assert iterable.closed == 1


def test_client_gone_is_no_error_of_the_application(
    serve: Serve, connect: Connect, capfd: pytest.CaptureFixture[str]
) -> None:
    iterable = Closing(iter(lambda: bytes(100_000), b""))

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return iterable

    server = serve(application)
    client = connect(server)
    client.get()
    client.receive_until(lambda received: b"\r\n\r\n" in received)
    client.reset()
    assert iterable.was_closed.wait(20)
    server.stop()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("error", [ValueError("closing failed"), SystemExit()])
def test_error_in_close_after_a_whole_answer_is_logged_and_cuts_nothing(
    serve: Serve, connect: Connect, error: BaseException, capfd: pytest.CaptureFixture[str]
) -> None:
    iterables: list[Closing] = []

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        iterables.append(Closing(iter([b"whole"]), error))
        return iterables[-1]

    server = serve(application, threads=1)
    client = connect(server)
    assert client.ask().body == b"whole"
    assert client.ask().body == b"whole"
    server.stop()
    assert [iterable.closed for iterable in iterables] == [1, 1]
    log = capfd.readouterr().err
    assert log.count("Traceback") == 2
    assert "aborted: the application failed" not in log


def test_error_in_close_after_an_error_mid_stream_is_still_a_reset(serve: Serve, connect: Connect) -> None:
    iterable = Closing(one_chunk_then_error(), ValueError("closing failed"))

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return iterable

    client = connect(serve(application))
    client.get()
    assert raised_by(client).was_reset
    assert iterable.closed == 1


def test_failed_requests_leave_no_reference_to_their_environ(serve: Serve, connect: Connect) -> None:
    alive: weakref.WeakSet[Mark] = weakref.WeakSet()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/alive":
            start_response("200 OK", [TEXT])
            return [str(len(alive)).encode()]
        environ["mark"] = Mark()
        alive.add(environ["mark"])
        raise RuntimeError("on purpose")

    server = serve(application, threads=1)
    for _ in range(5):
        assert connect(server).ask("/fail").status == 500
    assert connect(server).ask("/alive").body == b"0"


class Mark:
    """Something to see whether an environ is still there."""


# An application that is told of a body too short, and writes to the same answer whenever barkeep's errors are
# imported.
WRITES_WHILE_IMPORTING = """
import builtins

from barkeep.testing import live_server
from barkeep.testing.raw_client import CutAnswer

plain_import, writes = builtins.__import__, []


def importing(name, *more, **named):
    if name == "barkeep.errors":
        for write in writes:
            write(b"x")
    return plain_import(name, *more, **named)


def application(environ, start_response):
    writes.append(start_response("200 OK", [("Content-Length", "9")]))
    return [b"short"]


builtins.__import__ = importing
with live_server(application) as server, server.connect() as client:
    try:
        client.ask(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    except CutAnswer:
        print("was cut")
"""


def test_making_an_error_runs_no_python_under_the_lock_of_the_answer() -> None:
    # It would wait for itself here; in an application of several threads, one for another.
    command = [sys.executable, "-c", WRITES_WHILE_IMPORTING]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert "the body is 4 bytes shorter than Content-Length" in done.stderr
    assert (done.returncode, done.stdout) == (0, "was cut\n"), done.stderr
