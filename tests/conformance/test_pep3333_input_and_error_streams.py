"""PEP 3333, Input and Error Streams: wsgi.input ends with the body, wsgi.errors goes to the log."""

from __future__ import annotations

import io
import json
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

from barkeep.errors import RequestBodyError
from tests.apps import GET, PLAIN, echo_body, json_answer
from tests.raw_client import Client, ask

if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from tests.apps import Serve

BODY = b"one\ntwo\nthree"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\n" + BODY
CHUNKED_HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED = CHUNKED_HEAD + b"5\r\none\nt\r\n8\r\nwo\nthree\r\n0\r\n\r\n"

READINGS: dict[str, Callable[[Any], object]] = {
    "read()": lambda file: file.read(),
    "read(-1)": lambda file: file.read(-1),
    "read(None)": lambda file: file.read(None),
    "read(0)": lambda file: [file.read(0), file.read()],
    "read(5)": lambda file: [file.read(5), file.read(5), file.read(5), file.read(5)],
    "read(10**9)": lambda file: [file.read(10**9), file.read(1)],
    "readline()": lambda file: [file.readline() for _ in range(5)],
    "readline(2)": lambda file: [file.readline(2) for _ in range(9)],
    "readline(0)": lambda file: [file.readline(0), file.readline()],
    "readline(-1)": lambda file: file.readline(-1),
    "readline(None)": lambda file: file.readline(None),
    "read() after readline()": lambda file: [file.readline(), file.read()],
    "readlines()": lambda file: file.readlines(),
    "readlines(1)": lambda file: [file.readlines(1), file.readlines(5), file.readlines()],
    "readlines(0)": lambda file: file.readlines(0),
    "iteration": lambda file: list(file),
    "iteration in two parts": lambda file: [next(file), next(iter(file)), file.read()],
    "after the end": lambda file: [file.read(), file.read(), file.readline(), file.readlines(), list(file)],
}


def reading(how: Callable[[Any], object]) -> WSGIApplication:
    """An application that answers with what it read, as text."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        return json_answer(repr(how(environ["wsgi.input"])), start_response)

    return application


@pytest.mark.parametrize("request_bytes", [POST, CHUNKED], ids=["length", "chunked"])
@pytest.mark.parametrize("settings", [{}, {"request_buffer": 0}, {"request_buffer": 4}], ids=str)
@pytest.mark.parametrize("how", READINGS)
def test_input_reads_as_a_file_does(
    serve: Serve, how: str, settings: dict[str, object], request_bytes: bytes
) -> None:
    read = READINGS[how]
    answer = ask(serve(reading(read), **settings).address, request_bytes)
    assert json.loads(answer.body) == repr(read(io.BytesIO(BODY)))


def test_request_without_body_reads_as_an_empty_file(serve: Serve) -> None:
    how = READINGS["after the end"]
    assert b"[b'', b'', b'', [], []]" in ask(serve(reading(how)).address, GET).body


@pytest.mark.parametrize("request_buffer", [0, 1024])
def test_input_never_reads_into_the_next_request(serve: Serve, request_buffer: int) -> None:
    with Client(serve(echo_body, request_buffer=request_buffer).address) as client:
        client.send(POST + CHUNKED + POST)
        assert [client.read_answer().body for _ in range(3)] == [BODY] * 3


def test_body_cut_short_never_reaches_the_application_when_it_is_received_whole(serve: Serve) -> None:
    called: SimpleQueue[bool] = SimpleQueue()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        called.put(True)
        return echo_body(environ, start_response)

    address = serve(application).address
    for request in (POST[:-1], CHUNKED[:-1], CHUNKED[:-9]):
        with Client(address) as client:
            client.send(request)
            client.finish()
            assert client.read_answer().status == 400
            client.expect_close()
    assert called.empty()


@pytest.mark.parametrize("request_bytes", [POST[:-1], CHUNKED[:-1], CHUNKED[:-9]])
@pytest.mark.parametrize("how", ["read()", "readlines()", "iteration", "read(10**9)"])
def test_body_cut_short_raises_when_it_is_streamed(serve: Serve, how: str, request_bytes: bytes) -> None:
    raised: SimpleQueue[BaseException | None] = SimpleQueue()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        try:
            READINGS[how](environ["wsgi.input"])
        except OSError as error:
            raised.put(error)
            raise
        raised.put(None)
        start_response("200 OK", PLAIN)
        return [b"complete"]

    with Client(serve(application, request_buffer=0).address) as client:
        client.send(request_bytes)
        client.finish()
        assert client.read_answer().status == 400
        client.expect_close()
    assert isinstance(raised.get(timeout=10), RequestBodyError)


def test_malformed_chunk_raises_when_it_is_streamed(serve: Serve) -> None:
    with Client(serve(echo_body, request_buffer=0).address) as client:
        client.send(CHUNKED_HEAD + b"5\r\nhello\r\n0x3\r\nabc\r\n0\r\n\r\n" + GET)
        assert client.read_answer().status == 400
        client.expect_close()


def test_body_fault_stays_a_fault_however_often_it_is_read(serve: Serve) -> None:
    outcomes: SimpleQueue[list[str]] = SimpleQueue()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        found = []
        for _ in range(3):
            try:
                found.append(repr(environ["wsgi.input"].read()))
            except OSError:
                found.append("raised")
        outcomes.put(found)
        start_response("200 OK", PLAIN)
        return [b""]

    with Client(serve(application, request_buffer=0).address) as client:
        client.send(POST[:-1])
        client.finish()
        client.read_answer()
    assert outcomes.get(timeout=10) == ["raised"] * 3


def test_every_line_written_to_errors_is_one_log_line(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        errors = environ["wsgi.errors"]
        errors.write("first\nsecond half")
        errors.write(" and other half\n")
        errors.writelines(["third\n", "fourth\n"])
        print("printed", file=errors)
        errors.flush()
        errors.write("without an end")
        start_response("200 OK", PLAIN)
        return [b""]

    served = serve(application)
    assert ask(served.address, GET).status == 200
    served.stop()
    logged = [line for line in capfd.readouterr().err.splitlines() if "error" in line]
    endings = ["first", "second half and other half", "third", "fourth", "printed", "without an end"]
    assert len(logged) == len(endings)
    for line, ending in zip(logged, endings, strict=True):
        assert line.endswith(ending)


def test_input_that_was_kept_cannot_reach_into_a_later_request(serve: Serve) -> None:
    kept: list[Any] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        for earlier in kept:
            try:
                stolen = earlier.read()
            except OSError:
                stolen = b""
            assert stolen in (b"", b"first"), stolen
        kept.append(environ["wsgi.input"])
        start_response("200 OK", PLAIN)
        # The first body is left for the server to read away.
        return [environ["wsgi.input"].read()] if len(kept) > 1 else [b""]

    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"
    with Client(serve(application, request_buffer=0, threads=1).address) as client:
        assert client.ask(head % (5, b"first")).status == 200
        answer = client.ask(head % (6, b"second"))
        assert (answer.status, answer.body) == (200, b"second")


def test_errors_goes_to_standard_error_only(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        environ["wsgi.errors"].write("a line\n")
        start_response("200 OK", PLAIN)
        return [b""]

    served = serve(application)
    assert ask(served.address, GET).status == 200
    served.stop()
    assert capfd.readouterr().out == ""


def test_errors_takes_texts_only(serve: Serve) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        with pytest.raises(TypeError, match="str, found bytes"):
            environ["wsgi.errors"].write(b"bytes")
        start_response("200 OK", PLAIN)
        return [b"raised"]

    assert ask(serve(application).address, GET).body == b"raised"
