"""Steps 4 and 5 from outside - application threads: all are used, none holds up the others, order is kept."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack

import pytest

from tests.behaviour.clients import WAIT_S
from tests.behaviour.gates import Gate
from tests.behaviour.kinds import Connect, Serve, Spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.behaviour.clients import Client
    from tests.behaviour.processes import ServerProcess

TEXT = ("Content-Type", "text/plain")


class Blocking:
    """An application that waits at /wait until it may go on; others are answered at once, with their path."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)
        self.may_go_on = threading.Event()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/wait"):
            self.arrived.release()
            self.may_go_on.wait()
        start_response("200 OK", [TEXT])
        return [environ["PATH_INFO"].encode()]

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self.arrived.acquire(timeout=WAIT_S)


def test_requests_behind_blocked_threads_are_all_answered_when_they_go_on(
    serve: Serve, connect: Connect, cleanup: ExitStack
) -> None:
    application = Blocking()
    server = serve(application, threads=4)
    cleanup.callback(application.may_go_on.set)
    clients = [connect(server) for _ in range(40)]
    for number, client in enumerate(clients):
        client.get(f"/wait/{number}")
    application.wait_for(4)
    assert not application.arrived.acquire(blocking=False)
    application.may_go_on.set()
    assert [client.answer().body for client in clients] == [b"/wait/%d" % number for number in range(40)]


@pytest.mark.parametrize("threads", [1, 2, 32])
def test_as_many_requests_run_at_once_as_there_are_threads(
    serve: Serve, connect: Connect, threads: int
) -> None:
    # Breaks unless all threads are in the application at the same moment, twice.
    together = threading.Barrier(threads, timeout=WAIT_S)

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        together.wait()
        start_response("200 OK", [TEXT])
        return [b"together"]

    server = serve(application, threads=threads)
    clients = [connect(server) for _ in range(2 * threads)]
    for client in clients:
        client.get()
    assert [client.answer().body for client in clients] == [b"together"] * (2 * threads)


def test_stuck_threads_do_not_stop_the_others(serve: Serve, connect: Connect, cleanup: ExitStack) -> None:
    application = Blocking()
    server = serve(application, threads=4)
    cleanup.callback(application.may_go_on.set)
    for number in range(3):
        connect(server).get(f"/wait/{number}")
    application.wait_for(3)
    for _ in range(200):
        assert connect(server).ask("/free").body == b"/free"


def test_request_that_arrives_while_all_but_one_thread_sleep_is_answered(
    serve: Serve, connect: Connect
) -> None:
    server = serve(Blocking(), threads=8)
    # One after another, with connections that stay: threads fall asleep between.
    clients = [connect(server) for _ in range(16)]
    for _ in range(20):
        for client in clients:
            assert client.ask("/free").status == 200


def test_pipelined_requests_are_answered_in_their_order(serve: Serve, connect: Connect) -> None:
    server = serve(Blocking(), threads=8)
    client = connect(server)
    count = 300
    client.send(*(b"GET /%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % number for number in range(count)))
    assert [client.answer().body for _ in range(count)] == [b"/%d" % number for number in range(count)]


def test_pipelined_bodies_are_kept_apart(serve: Serve, connect: Connect) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return [environ["wsgi.input"].read()]

    client = connect(serve(application, threads=8))
    for number in range(50):
        client.post("/", b"body %d" % number * 100)
    assert [client.answer().body for _ in range(50)] == [b"body %d" % number * 100 for number in range(50)]


def test_refusal_behind_pipelined_requests_is_the_last_answer(
    serve: Serve, connect: Connect, cleanup: ExitStack
) -> None:
    application = Blocking()
    server = serve(application, threads=8)
    cleanup.callback(application.may_go_on.set)
    client = connect(server)
    request = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"
    client.send(request % b"/wait", request % b"/second", b"BAD\r\n\r\n", request % b"/never")
    application.wait_for(1)
    application.may_go_on.set()
    assert [client.answer().status for _ in range(3)] == [200, 200, 400]
    assert client.end() == b""


def test_each_chunk_reaches_the_client_before_the_next_is_made(
    serve: Serve, connect: Connect, cleanup: ExitStack
) -> None:
    has_arrived = threading.Semaphore(0)

    def chunks() -> Iterator[bytes]:
        for number in range(20):
            yield b"chunk %d" % number
            assert has_arrived.acquire(timeout=WAIT_S)

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return chunks()

    client = connect(serve(application, threads=1))
    client.get()
    assert client.head() == 200
    for number in range(20):
        assert client.chunk() == b"chunk %d" % number
        has_arrived.release()
    assert client.chunk() == b""


def test_what_is_written_reaches_the_client_while_the_application_works(
    serve: Serve, connect: Connect, cleanup: ExitStack
) -> None:
    may_return = threading.Event()

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [TEXT])
        write(b"written")
        write(b"again")
        may_return.wait()
        return [b"returned"]

    client = connect(serve(application))
    cleanup.callback(may_return.set)
    client.get()
    assert client.head() == 200
    assert (client.chunk(), client.chunk()) == (b"written", b"again")
    may_return.set()
    assert (client.chunk(), client.chunk()) == (b"returned", b"")


def test_threads_that_compute_do_not_keep_others_from_being_answered(
    serve: Serve, connect: Connect, cleanup: ExitStack
) -> None:
    is_over = threading.Event()
    begun = threading.Semaphore(0)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/compute":
            begun.release()
            while not is_over.is_set():
                sum(range(1000))
        start_response("200 OK", [TEXT])
        return [b"done"]

    server = serve(application, threads=4)
    cleanup.callback(is_over.set)
    busy = [connect(server) for _ in range(2)]
    for client in busy:
        client.get("/compute")
    for _ in busy:
        assert begun.acquire(timeout=WAIT_S)
    other = connect(server)
    for _ in range(10):
        assert other.ask().body == b"done"
    is_over.set()
    assert [client.answer().body for client in busy] == [b"done"] * 2


def test_application_threads_are_python_threads_with_names(serve: Serve, connect: Connect) -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return [threading.current_thread().name.encode()]

    assert connect(serve(application, threads=1)).ask().body == b"barkeep-1"


def _send_in_one_burst(server: ServerProcess, clients: Sequence[Client], targets: Sequence[str]) -> None:
    """The server finds all requests when it wakes up, in this order, and hands them over as one batch."""
    server.send(signal.SIGSTOP)
    for client, target in zip(clients, targets, strict=True):
        client.get(target)
    server.send(signal.SIGCONT)


@pytest.mark.parametrize("blocks_at", [1, 4, 15])
def test_answers_given_before_a_request_that_blocks_do_not_wait_for_it(
    spawn: Spawn, connect: Connect, gate: Gate, blocks_at: int
) -> None:
    server = spawn("--threads", "1")
    address = server.address()
    clients = [connect(address) for _ in range(16)]
    for _ in range(20):
        for client in clients:
            assert client.ask("/").status == 200
        targets = ["/"] * 16
        targets[blocks_at] = "/gate"
        _send_in_one_burst(server, clients, targets)
        gate.wait_for(1)
        # The only thread is in the application, and stays there.
        assert [client.answer().body for client in clients[:blocks_at]] == [b"hello"] * blocks_at
        gate.open()
        assert [client.answer().status for client in clients[blocks_at:]] == [200] * (16 - blocks_at)


def test_requests_of_a_burst_are_answered_whole_after_sigterm(spawn: Spawn, connect: Connect) -> None:
    server = spawn()
    address = server.address()
    clients = [connect(address) for _ in range(32)]
    for client in clients:
        assert client.ask("/").status == 200
    _send_in_one_burst(server, clients, ["/"] * 32)
    server.send(signal.SIGTERM)
    # Read before the signal was seen, or after: none is cut, none is lost.
    assert [client.answer().body for client in clients] == [b"hello"] * 32
    assert server.wait() == 0


def test_answers_of_a_burst_of_pipelines_come_in_their_order(spawn: Spawn, connect: Connect) -> None:
    server = spawn()
    address = server.address()
    clients = [connect(address) for _ in range(16)]
    for number in range(1, 21):
        _send_in_one_burst(server, clients, [f"/zeros/{number}"] * 16)
        for client in clients:
            client.get(f"/zeros/{number + 100}")
        sizes = [[len(client.answer().body) for _ in range(2)] for client in clients]
        assert sizes == [[number, number + 100]] * 16
