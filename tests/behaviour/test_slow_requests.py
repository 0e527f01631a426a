"""Steps 2 and 3 from outside - slow and silent clients: nobody else waits, and each has a deadline."""

from __future__ import annotations

import select
import threading
from contextlib import ExitStack

import pytest

import barkeep
from barkeep.errors import RequestBodyError
from tests.behaviour.clients import Client
from tests.behaviour.kinds import Connect, Serve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

# Well above the time between two drips (clients.py), well below what a person would wait.
SHORT_S = 0.3


def read_all(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Read the whole body and tell its size."""
    size = len(environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(size).encode()]


def wait_for_deadline(connect: Connect, server: barkeep.Server) -> None:
    """Until a client that begins now is too slow for its head: by the server's own clock, time has passed."""
    witness = connect(server)
    witness.send(b"GET")
    assert witness.answer().status == 408


@pytest.mark.parametrize("count", [12, 200])
def test_half_heads_do_not_stop_another_request(serve: Serve, connect: Connect, count: int) -> None:
    server = serve(read_all, threads=2)
    slow = [connect(server) for _ in range(count)]
    for client in slow:
        client.send(b"GET / HTTP/1.1\r\nHo")
    assert connect(server).ask().body == b"0"
    for client in slow:
        client.send(b"st: localhost\r\n\r\n")
    assert [client.answer().status for client in slow] == [200] * count


@pytest.mark.parametrize("request_buffer", [1024, 1024 * 1024])
def test_half_bodies_do_not_stop_another_request(serve: Serve, connect: Connect, request_buffer: int) -> None:
    # Streamed bodies occupy a thread each, so there is one more.
    server = serve(read_all, threads=13, request_buffer=request_buffer)
    slow = [connect(server) for _ in range(12)]
    for client in slow:
        client.post("/", bytes(2000), length=4000)
    assert connect(server).ask().body == b"0"
    for client in slow:
        client.send(bytes(2000))
    assert [client.answer().body for client in slow] == [b"4000"] * 12


def test_half_bodies_that_fit_the_buffer_take_no_application_thread(serve: Serve, connect: Connect) -> None:
    server = serve(read_all, threads=1)
    slow = [connect(server) for _ in range(12)]
    for client in slow:
        client.post("/", bytes(2000), length=4000)
    assert connect(server).ask().body == b"0"


def test_drip_fed_head_is_cut_with_408_at_its_deadline(serve: Serve, connect: Connect) -> None:
    server = serve(read_all, head_timeout=SHORT_S)
    client = connect(server)
    client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Drip: ")
    assert client.drip(b"d", times=500) < 500
    assert client.answer().status == 408
    assert client.end() == b""


def test_head_of_a_later_request_has_the_same_deadline(serve: Serve, connect: Connect) -> None:
    server = serve(read_all, head_timeout=SHORT_S)
    client = connect(server)
    assert client.ask().status == 200
    client.send(b"GET / HTTP/1.1\r\n")
    assert client.drip(b"A: b\r\n", times=90) < 90
    assert client.answer().status == 408
    assert client.end() == b""


def test_body_that_stops_is_cut_with_408(serve: Serve, connect: Connect) -> None:
    server = serve(read_all, body_timeout=SHORT_S)
    client = connect(server)
    client.post("/", b"half", length=8)
    answer = client.answer()
    assert (answer.status, answer.field("connection")) == (408, "close")
    assert client.end() == b""


def test_drip_fed_body_is_cut_with_408_by_the_least_rate(serve: Serve, connect: Connect) -> None:
    server = serve(read_all, body_timeout=SHORT_S, min_data_rate=10_000)
    client = connect(server)
    client.post("/", b"", length=500)
    assert client.drip(b"d", times=500) < 500
    assert client.answer().status == 408


def test_drip_fed_chunked_body_is_cut_with_408_by_the_least_rate(serve: Serve, connect: Connect) -> None:
    server = serve(read_all, body_timeout=SHORT_S, min_data_rate=10_000)
    client = connect(server)
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert client.drip(b"1\r\nd\r\n", times=500) < 500
    assert client.answer().status == 408


def test_slow_body_is_received_whole_when_the_least_rate_is_off(serve: Serve, connect: Connect) -> None:
    server = serve(read_all, body_timeout=SHORT_S, min_data_rate=0)
    client = connect(server)
    client.post("/", b"", length=40)
    # Forty drips last longer than the deadline, and each comes before it.
    assert client.drip(b"d", times=40) == 40
    assert client.answer().body == b"40"


def test_streamed_body_that_stops_raises_and_is_answered_408(serve: Serve, connect: Connect) -> None:
    raised: list[BaseException] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            return read_all(environ, start_response)
        except OSError as error:
            raised.append(error)
            raise

    server = serve(application, body_timeout=SHORT_S, request_buffer=1024)
    client = connect(server)
    client.post("/", bytes(2000), length=4000)
    answer = client.answer()
    assert (answer.status, answer.field("connection")) == (408, "close")
    assert [type(error) for error in raised] == [RequestBodyError]


def test_drip_fed_streamed_body_is_cut_by_the_least_rate(serve: Serve, connect: Connect) -> None:
    server = serve(read_all, body_timeout=SHORT_S, request_buffer=1024, min_data_rate=10_000)
    client = connect(server)
    client.post("/", bytes(1500), length=4000)
    assert client.drip(b"d", times=500) < 500
    assert client.answer().status == 408


def test_application_that_is_slow_to_read_does_not_count_against_the_client(
    serve: Serve, connect: Connect, cleanup: ExitStack
) -> None:
    has_read, may_read = threading.Event(), threading.Event()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        first = environ["wsgi.input"].read(1)
        has_read.set()
        may_read.wait()
        size = len(first) + len(environ["wsgi.input"].read())
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(size).encode()]

    server = serve(application, threads=2, head_timeout=0.5, body_timeout=SHORT_S, request_buffer=1024)
    cleanup.callback(may_read.set)
    client = connect(server)
    client.post("/", b"", "Expect: 100-continue", length=4000)
    # The application waits for the body. One byte, far below what the least rate asks for, and it is at work.
    client.receive_until(lambda received: received.endswith(b"\r\n\r\n"))
    client.send(b"1")
    assert has_read.wait(20)
    client.send(bytes(3999))
    wait_for_deadline(connect, server)
    may_read.set()
    assert client.answer().body == b"4000"


def test_keep_alive_connection_is_closed_silently_at_its_deadline(serve: Serve, connect: Connect) -> None:
    server = serve(read_all, keep_alive_timeout=SHORT_S)
    client = connect(server)
    assert client.ask().status == 200
    assert client.end() == b""


def test_connection_that_sends_nothing_is_closed_silently(serve: Serve, connect: Connect) -> None:
    server = serve(read_all, head_timeout=SHORT_S)
    assert connect(server).end() == b""


def test_application_at_work_has_no_deadline(serve: Serve, connect: Connect, cleanup: ExitStack) -> None:
    may_answer = threading.Event()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        may_answer.wait()
        return read_all(environ, start_response)

    short = dict.fromkeys(("head_timeout", "body_timeout", "keep_alive_timeout", "write_timeout"), SHORT_S)
    server = serve(application, **short)
    cleanup.callback(may_answer.set)
    client = connect(server)
    client.post("/", b"whole")
    wait_for_deadline(connect, server)
    wait_for_deadline(connect, server)
    may_answer.set()
    assert client.answer().body == b"5"


def test_refusal_can_be_read_by_a_client_that_sends_on(serve: Serve, connect: Connect) -> None:
    server = serve(read_all, max_request_body=1000)
    client = connect(server)
    # Sent without looking for an answer, as many clients do; a reset would take the answer away.
    client.post("/", bytes(3_000_000))
    assert client.answer().status == 413
    assert client.end() == b""


def test_client_that_sends_on_for_ever_after_a_refusal_is_cut(serve: Serve, connect: Connect) -> None:
    server = serve(read_all)
    client = connect(server)
    client.send(b"NOT HTTP\r\n\r\n")
    assert client.answer().status == 400
    assert drip_until_broken(client, times=1000) < 1000


def drip_until_broken(client: Client, times: int) -> int:
    """Send a piece each time that the connection has not broken for a while; how many were sent."""
    broken = select.poll()
    # Nothing asked for: only errors and hang-ups are told.
    broken.register(client.socket, 0)
    for sent in range(times):
        if broken.poll(20):
            return sent
        client.send(b"d" * 100)
    return times
