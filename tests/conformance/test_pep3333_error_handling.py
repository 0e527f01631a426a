"""PEP 3333, Error Handling: 500 before the head, a visible cut after it, the traceback in the log."""

from __future__ import annotations

import sys
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

from tests.apps import GET, PLAIN
from tests.raw_client import Client, ask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from tests.apps import Serve

WELL = GET.replace(b"/ ", b"/well ")
FAILED = b"500 Internal Server Error\n"


def failing(
    error: BaseException, *, after_start: bool = False, after: tuple[bytes, ...] = ()
) -> WSGIApplication:
    """An application that raises: at once, after start_response, or after some chunks."""

    def generate() -> Iterator[bytes]:
        yield from after
        raise error

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        if environ["PATH_INFO"] == "/well":
            start_response("200 OK", PLAIN)
            return [b"well"]
        if after_start or after:
            start_response("200 OK", [("X-Secret", "1")])
        if after:
            return generate()
        raise error

    return application


@pytest.mark.parametrize("after_start", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        ValueError("secret"),
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        StopIteration(),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_exception_before_the_head_is_answered_500_and_the_thread_lives_on(
    serve: Serve, capfd: pytest.CaptureFixture[str], error: BaseException, after_start: bool
) -> None:
    served = serve(failing(error, after_start=after_start), threads=1)
    answer = ask(served.address, GET.replace(b"/ ", b"/fails?x=1 "))
    assert (answer.status, answer.body) == (500, FAILED)
    assert not answer.head.has("X-Secret")
    assert [ask(served.address, WELL).body for _ in range(2)] == [b"well"] * 2
    served.stop()
    log = capfd.readouterr().err
    assert "GET /fails?x=1 answered 500: the application failed" in log
    assert "Traceback (most recent call last)" in log
    assert type(error).__name__ in log


def test_exception_before_the_head_of_a_head_request_has_no_body(serve: Serve) -> None:
    with Client(serve(failing(ValueError())).address) as client:
        answer = client.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (answer.status, answer.head.field("Connection")) == (500, "close")
        client.expect_close()


@pytest.mark.parametrize("length", [[], [("Content-Length", "100")]], ids=["chunked", "length"])
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_exception_after_the_head_is_visible_to_the_client(
    serve: Serve, capfd: pytest.CaptureFixture[str], length: list[tuple[str, str]], version: bytes
) -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", length)
        yield b"begun"
        raise ValueError("mid-stream")

    served = serve(application)
    with Client(served.address) as client:
        client.send(b"GET / " + version + b"\r\nHost: a\r\n\r\n" + GET)
        received = client.read_to_reset()
    assert not received.endswith(b"0\r\n\r\n")
    assert b"500" not in received
    served.stop()
    log = capfd.readouterr().err
    assert "GET / aborted: the application failed" in log
    assert "ValueError: mid-stream" in log


def test_exception_before_the_first_chunk_of_a_generator_is_answered_500(serve: Serve) -> None:
    assert ask(serve(failing(ValueError(), after=(b"", b""))).address, GET).body == FAILED


def test_exception_while_len_is_asked_is_answered_500(serve: Serve) -> None:
    class Odd:
        def __len__(self) -> int:
            raise ValueError("odd")

        def __iter__(self) -> Iterator[bytes]:
            return iter([b"never"])

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Odd:
        start_response("200 OK", PLAIN)
        return Odd()

    assert ask(serve(application).address, GET).status == 500


def test_error_page_of_an_error_handling_middleware_is_sent(serve: Serve) -> None:
    def middleware(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        try:
            failing(ValueError(), after_start=True)(environ, start_response)
        except ValueError:
            start_response("500 Our page", PLAIN, sys.exc_info())
            return [b"we are sorry"]
        raise AssertionError("not reached")

    answer = ask(serve(middleware).address, GET)
    assert (answer.head.reason, answer.body) == ("Our page", b"we are sorry")


def test_error_handling_middleware_cannot_replace_a_head_that_was_sent(serve: Serve) -> None:
    after: SimpleQueue[type[BaseException]] = SimpleQueue()

    def middleware(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        try:
            yield from failing(ValueError(), after=(b"begun",))(environ, start_response)
        except ValueError:
            try:
                start_response("500 Our page", PLAIN, sys.exc_info())
            except ValueError as error:
                after.put(type(error))
                raise
            yield b"we are sorry"

    with Client(serve(middleware).address) as client:
        client.send(GET)
        assert client.read_head().status == 200
        assert b"sorry" not in client.read_to_reset()
    assert after.get(timeout=10) is ValueError


def test_client_never_sees_the_traceback(serve: Serve) -> None:
    with Client(serve(failing(ValueError("secret detail"))).address) as client:
        client.send(GET)
        received = client.read_to_end()
    assert b"secret" not in received
    assert b"Traceback" not in received


def test_target_in_the_log_cannot_forge_a_line(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    served = serve(failing(ValueError("one\ntwo")))
    assert ask(served.address, b"GET /%0a2026-forged HTTP/1.1\r\nHost: a\r\n\r\n").status == 500
    served.stop()
    lines = capfd.readouterr().err.splitlines()
    # The lines of a traceback are set in, so that none of them passes for a log line of its own.
    assert [line for line in lines if not line.startswith(" ")] == [lines[0]]
