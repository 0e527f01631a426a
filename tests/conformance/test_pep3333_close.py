"""PEP 3333, Specification Details: close() is called exactly once, whatever became of the request."""

from __future__ import annotations

import socket
import struct
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

from tests.apps import GET, PLAIN
from tests.raw_client import Client, ask

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from tests.apps import Serve

WAIT_S = 10.0


class Body:
    """An iterable that tells when it is closed, and fails a second close."""

    def __init__(
        self, chunks: Iterable[bytes | BaseException], *, close_error: BaseException | None = None
    ) -> None:
        self._chunks = iter(chunks)
        self._close_error = close_error
        self.closings: SimpleQueue[str] = SimpleQueue()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk

    def close(self) -> None:
        self.closings.put("closed")
        if self._close_error is not None:
            raise self._close_error

    def check_closed_once(self) -> None:
        """Wait for the first close; there must be no second by the time the server has stopped."""
        assert self.closings.get(timeout=WAIT_S) == "closed"
        assert self.closings.empty()


class ListBody(list[bytes]):
    """A list with a close(), as some frameworks make."""

    def __init__(self, *chunks: bytes) -> None:
        super().__init__(chunks)
        self.close_count = 0

    def close(self) -> None:
        self.close_count += 1


def returning(body: Any, *, start: bool = True, fields: Iterable[tuple[str, str]] = PLAIN) -> WSGIApplication:
    """An application that returns this body."""

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        if start:
            start_response("200 OK", list(fields))
        return body

    return application


def forever() -> Iterator[bytes]:
    """More than any client will read."""
    while True:
        yield b"x" * 10_000


@pytest.mark.parametrize("chunks", [[], [b""], [b"one"], [b"one", b"two"]])
def test_close_is_called_once_after_success(serve: Serve, chunks: list[bytes]) -> None:
    body = Body(chunks)
    served = serve(returning(body))
    assert ask(served.address, GET).body == b"".join(chunks)
    served.stop()
    body.check_closed_once()


@pytest.mark.parametrize("chunks", [(), (b"one",), (b"one", b"two")])
def test_close_of_a_list_with_close_is_called_once(serve: Serve, chunks: tuple[bytes, ...]) -> None:
    body = ListBody(*chunks)
    served = serve(returning(body))
    assert ask(served.address, GET).body == b"".join(chunks)
    served.stop()
    assert body.close_count == 1


@pytest.mark.parametrize("request_bytes", [b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"])
def test_close_is_called_once_for_other_kinds_of_request(serve: Serve, request_bytes: bytes) -> None:
    body = Body([b"one", b"two"])
    served = serve(returning(body))
    ask(served.address, request_bytes)
    served.stop()
    body.check_closed_once()


@pytest.mark.parametrize(
    "chunks", [[ValueError()], [b"", ValueError()], [b"one", ValueError()], [b"one", SystemExit()]]
)
def test_close_is_called_once_when_iteration_fails(serve: Serve, chunks: list[bytes | BaseException]) -> None:
    body = Body(chunks)
    served = serve(returning(body))
    with Client(served.address) as client:
        client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        client.read_to_reset() if b"one" in chunks else client.read_to_end()
    served.stop()
    body.check_closed_once()


def test_close_is_called_once_when_start_response_was_not(serve: Serve) -> None:
    body = Body([b"one"])
    served = serve(returning(body, start=False))
    assert ask(served.address, GET).status == 500
    served.stop()
    body.check_closed_once()


def test_close_is_called_once_when_a_chunk_is_of_the_wrong_type(serve: Serve) -> None:
    body = Body(["text"])  # type: ignore[list-item]
    served = serve(returning(body))
    assert ask(served.address, GET).status == 500
    served.stop()
    body.check_closed_once()


@pytest.mark.parametrize("length", ["2", "100"])
def test_close_is_called_once_when_the_length_was_wrong(serve: Serve, length: str) -> None:
    body = Body([b"one", b"two"])
    served = serve(returning(body, fields=[("Content-Length", length)]))
    with Client(served.address) as client:
        client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        client.read_to_end() if length == "2" else client.read_to_reset()
    served.stop()
    body.check_closed_once()


@pytest.mark.parametrize("by_reset", [False, True])
def test_close_is_called_once_when_the_client_has_gone(serve: Serve, by_reset: bool) -> None:
    body = Body(forever())
    served = serve(returning(body))
    with Client(served.address) as client:
        client.send(GET)
        client.read_head()
        if by_reset:
            linger = struct.pack("ii", 1, 0)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    body.check_closed_once()
    # The thread is free again, and the server tells no error of its own making.
    assert ask(serve(returning([b"next"])).address, GET).body == b"next"
    served.stop()
    assert body.closings.empty()


def test_generator_has_its_finally_run_when_the_client_has_gone(serve: Serve) -> None:
    ended: SimpleQueue[str] = SimpleQueue()

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        try:
            yield from forever()
        finally:
            ended.put("finally")

    with Client(serve(application, threads=1).address) as client:
        client.send(GET)
        client.read_head()
    assert ended.get(timeout=WAIT_S) == "finally"


def test_client_that_has_gone_is_no_error_of_the_application(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    body = Body(forever())
    served = serve(returning(body))
    with Client(served.address) as client:
        client.send(GET)
        client.read_head()
    body.check_closed_once()
    served.stop()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("chunks", [[b"one"], [b"one", b"two"], []])
def test_error_in_close_leaves_the_answer_whole_and_is_logged(
    serve: Serve, capfd: pytest.CaptureFixture[str], chunks: list[bytes]
) -> None:
    body = Body(chunks, close_error=ValueError("close failed"))
    served = serve(returning(body))
    with Client(served.address) as client:
        answer = client.ask(GET)
        assert (answer.status, answer.body) == (200, b"".join(chunks))
    served.stop()
    body.check_closed_once()
    log = capfd.readouterr().err
    assert "ValueError: close failed" in log
    # The client has all of it: nothing was aborted.
    assert "aborted" not in log


def test_close_of_what_a_middleware_wraps_is_left_to_the_middleware(serve: Serve) -> None:
    inner = Body([b"inner"])

    def middleware(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        wrapped = returning(inner)(environ, start_response)
        try:
            return [chunk.upper() for chunk in wrapped]
        finally:
            wrapped.close()  # type: ignore[attr-defined]

    served = serve(middleware)
    assert ask(served.address, GET).body == b"INNER"
    served.stop()
    inner.check_closed_once()
