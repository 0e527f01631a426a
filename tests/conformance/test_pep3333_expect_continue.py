"""PEP 3333, HTTP 1.1 Expect/Continue: 100 is sent when the application reads, or the body is received."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.apps import GET, PLAIN, echo_body, read_nothing
from tests.raw_client import Client

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.apps import Serve

LENGTH_HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
CHUNKED_HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n"
BODIES = pytest.mark.parametrize(
    ("head", "body"),
    [(LENGTH_HEAD, b"hello"), (CHUNKED_HEAD, b"5\r\nhello\r\n0\r\n\r\n")],
    ids=["length", "chunked"],
)


@BODIES
@pytest.mark.parametrize("request_buffer", [0, 1024])
def test_client_that_waits_is_told_to_continue_once(
    serve: Serve, head: bytes, body: bytes, request_buffer: int
) -> None:
    with Client(serve(echo_body, request_buffer=request_buffer).address) as client:
        for _ in range(2):
            client.send(head)
            interim = client.read_head()
            assert (interim.status, interim.reason, interim.fields) == (100, "Continue", ())
            client.send(body)
            answer = client.read_answer()
            assert (answer.status, answer.body, answer.interim) == (200, b"hello", ())


@BODIES
def test_streamed_body_is_asked_for_when_the_application_first_reads(
    serve: Serve, head: bytes, body: bytes
) -> None:
    is_called, may_read = threading.Event(), threading.Event()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        is_called.set()
        assert may_read.wait(10)
        return echo_body(environ, start_response)

    with Client(serve(application, request_buffer=0, threads=2).address) as client:
        client.send(head)
        assert is_called.wait(10)
        client.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.socket.recv(1)
        client.socket.settimeout(10)
        may_read.set()
        assert client.read_head().status == 100
        client.send(body)
        assert client.read_answer().body == b"hello"


@BODIES
def test_application_that_does_not_read_never_asks_for_the_body(
    serve: Serve, head: bytes, body: bytes
) -> None:
    with Client(serve(read_nothing, request_buffer=0).address) as client:
        client.send(head)
        answer = client.read_answer()
        assert (answer.status, answer.interim) == (200, ())
        # Nobody can tell whether the client sends the body now, so what follows is never read as a request.
        assert answer.head.field("Connection") == "close"
        client.send(body + GET)
        client.expect_close()


@BODIES
@pytest.mark.parametrize("request_buffer", [0, 1024])
def test_body_that_came_with_its_head_needs_no_asking(
    serve: Serve, head: bytes, body: bytes, request_buffer: int
) -> None:
    with Client(serve(echo_body, request_buffer=request_buffer).address) as client:
        client.send(head + body + GET)
        answer = client.read_answer()
        assert (answer.body, answer.interim) == (b"hello", ())
        assert client.read_answer().status == 200


@pytest.mark.parametrize("request_buffer", [0, 1024])
def test_client_on_http_10_is_never_told_to_continue(serve: Serve, request_buffer: int) -> None:
    head = b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    with Client(serve(echo_body, request_buffer=request_buffer).address) as client:
        client.send(head)
        client.send(b"hello")
        answer = client.read_answer()
        assert (answer.body, answer.interim) == (b"hello", ())


def test_request_without_body_is_not_told_to_continue(serve: Serve) -> None:
    with Client(serve(echo_body).address) as client:
        answer = client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n")
        assert (answer.status, answer.interim) == (200, ())


def test_refusal_comes_instead_of_continue(serve: Serve) -> None:
    head = LENGTH_HEAD.replace(b"Length: 5", b"Length: 5000")
    with Client(serve(echo_body, max_request_body=1000).address) as client:
        answer = client.ask(head)
        assert (answer.status, answer.interim) == (413, ())
        client.expect_close()


def test_answer_of_a_head_that_was_read_first_may_follow_continue(serve: Serve) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", PLAIN)
        write(b"begun ")
        return [environ["wsgi.input"].read()]

    with Client(serve(application).address) as client:
        client.send(LENGTH_HEAD)
        assert client.read_head().status == 100
        client.send(b"hello")
        assert client.read_answer().body == b"begun hello"


def test_continue_never_comes_within_an_answer(serve: Serve) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", PLAIN)
        write(b"begun ")
        return [environ["wsgi.input"].read()]

    with Client(serve(application, request_buffer=0).address) as client:
        # Its answer has begun before it reads: 100 would be taken for a part of the body.
        client.send(LENGTH_HEAD)
        head = client.read_head()
        assert head.status == 200
        assert client.read_chunk() == b"begun "
        client.send(b"hello")
        assert client.read_chunk() == b"hello"
        assert client.read_chunk() == b""
