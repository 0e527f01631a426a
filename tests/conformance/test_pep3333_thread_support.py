"""PEP 3333, Thread Support: real threads, as many at once as the setting says, and wsgi.multithread tells."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.apps import GET, PLAIN, json_answer
from tests.raw_client import Client, ask

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.apps import Serve

WAIT_S = 10.0


@pytest.mark.parametrize("threads", [2, 4, 16])
def test_as_many_requests_run_at_once_as_there_are_threads(serve: Serve, threads: int) -> None:
    meeting = threading.Barrier(threads)

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        meeting.wait(WAIT_S)
        start_response("200 OK", PLAIN)
        return [b"met"]

    address = serve(application, threads=threads).address
    clients = [Client(address) for _ in range(threads)]
    for client in clients:
        client.send(GET)
    for client in clients:
        with client:
            assert client.read_answer().body == b"met"


def test_one_thread_runs_one_request_at_a_time(serve: Serve) -> None:
    running = threading.Lock()

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        is_alone = running.acquire(blocking=False)
        answer = json_answer([is_alone, threading.current_thread().name], start_response)
        running.release()
        return answer

    address = serve(application, threads=1).address
    clients = [Client(address) for _ in range(20)]
    for client in clients:
        client.send(GET)
    bodies = set()
    for client in clients:
        with client:
            bodies.add(client.read_answer().body)
    assert len(bodies) == 1
    assert bodies.pop().startswith(b"[true, ")


def test_application_threads_are_threads_of_python_with_locals_that_last(serve: Serve) -> None:
    own = threading.local()

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        own.calls = getattr(own, "calls", 0) + 1
        thread = threading.current_thread()
        return json_answer([own.calls, thread in threading.enumerate(), thread.daemon], start_response)

    address = serve(application, threads=1).address
    assert [ask(address, GET).body for _ in range(3)] == [
        b"[1, true, true]",
        b"[2, true, true]",
        b"[3, true, true]",
    ]


@pytest.mark.parametrize("request_buffer", [0, 1024])
def test_input_and_write_work_from_another_thread(serve: Serve, request_buffer: int) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", PLAIN)

        def work() -> None:
            while line := environ["wsgi.input"].readline():
                write(line)

        worker = threading.Thread(target=work)
        worker.start()
        worker.join(WAIT_S)
        return []

    with Client(serve(application, request_buffer=request_buffer).address) as client:
        answer = client.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\none\ntwo")
        assert answer.body == b"one\ntwo"


def test_blocked_request_does_not_hold_the_others(serve: Serve) -> None:
    release = threading.Event()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] == "/blocked":
            assert release.wait(WAIT_S)
        start_response("200 OK", PLAIN)
        return [environ["PATH_INFO"].encode()]

    address = serve(application, threads=2).address
    with Client(address) as blocked:
        blocked.send(b"GET /blocked HTTP/1.1\r\nHost: a\r\n\r\n")
        assert [ask(address, GET).body for _ in range(5)] == [b"/"] * 5
        release.set()
        assert blocked.read_answer().body == b"/blocked"
