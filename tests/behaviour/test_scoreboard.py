"""What a worker does is read from outside, with no help from it: also while it stands still."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing

import pytest

from barkeep.scoreboard import ExchangeReading, PlaceReading, now_ns
from tests.behaviour.clients import WAIT_S, Client
from tests.behaviour.gates import Gate
from tests.behaviour.kinds import Connect
from tests.behaviour.workers import Workers


@pytest.fixture
def workers(cleanup: ExitStack, gate: Gate) -> Workers:
    return cleanup.enter_context(closing(Workers(gate.path)))


def wait_until(shows: Callable[[], bool]) -> None:
    """Until the scoreboard shows it; a worker cannot tell us without being the one who is watched."""
    until_s = time.monotonic() + WAIT_S
    while not shows():
        assert time.monotonic() < until_s, "the scoreboard never showed it"
        os.sched_yield()


def exchanges(workers: Workers, phase: str) -> list[ExchangeReading]:
    """Those of the first worker in this phase, when it has some."""
    wait_until(lambda: any(reading.phase == phase for reading in workers.scoreboard.exchanges(0)))
    return [reading for reading in workers.scoreboard.exchanges(0) if reading.phase == phase]


def test_a_request_in_the_application_shows_its_thread_client_and_age(
    workers: Workers, connect: Connect, gate: Gate
) -> None:
    workers.start()
    # The turn of the I/O thread that takes the request may have begun with the connection.
    before_ns = now_ns()
    client = connect(workers.address)
    client.get("/gate/slow?page=7")
    gate.wait_for(1)
    [running] = exchanges(workers, "running")
    assert (running.method, running.target, running.number) == ("GET", "/gate/slow?page=7", 1)
    assert f"{running.client}:{running.client_port}" == client.name
    assert running.thread > 0
    assert running.thread_ident > 0
    assert before_ns <= running.first_byte_ns <= running.since_ns <= now_ns()
    gate.open()
    assert client.answer().body == b"let go"
    wait_until(lambda: not workers.scoreboard.exchanges(0))


def test_a_worker_that_is_stopped_is_read_as_it_stood(workers: Workers, connect: Connect, gate: Gate) -> None:
    worker = workers.start()
    client = connect(workers.address)
    client.get("/gate")
    gate.wait_for(1)
    worker.halt()
    [running] = exchanges(workers, "running")
    assert (running.target, workers.scoreboard.place(0).pid) == ("/gate", worker.pid)
    worker.go_on()


def test_requests_without_a_thread_are_queued_and_counted(
    workers: Workers, connect: Connect, gate: Gate
) -> None:
    workers.start(threads=1)
    first = connect(workers.address)
    first.get("/gate/first")
    gate.wait_for(1)
    second = connect(workers.address)
    second.get("/gate/second")
    [queued] = exchanges(workers, "queued")
    assert (queued.target, queued.thread) == ("/gate/second", 0)
    reading = workers.scoreboard.place(0)
    assert (reading.threads, reading.busy_threads, reading.queued, reading.connections) == (1, 1, 1, 2)


def test_a_request_that_comes_slowly_is_seen_while_it_is_read(workers: Workers, connect: Connect) -> None:
    workers.start()
    client = connect(workers.address)
    client.send(b"POST /digest HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n123")
    [reading] = exchanges(workers, "reading")
    assert (reading.method, reading.target) == ("POST", "/digest")
    client.send(b"45")
    assert client.answer().status == 200
    wait_until(lambda: not workers.scoreboard.exchanges(0))


def test_an_answer_that_is_not_read_is_seen_as_being_written(workers: Workers, connect: Connect) -> None:
    workers.start()
    client = connect(workers.address, is_slow=True)
    client.get("/zeros/1000000")
    [writing] = exchanges(workers, "writing")
    assert (writing.target, writing.thread) == ("/zeros/1000000", 0)
    assert len(client.answer().body) == 1_000_000
    wait_until(lambda: not workers.scoreboard.exchanges(0))


def test_a_request_whose_client_has_gone_is_seen_as_long_as_it_keeps_a_thread(
    workers: Workers, connect: Connect, gate: Gate
) -> None:
    workers.start()
    client = connect(workers.address)
    client.get("/stream")
    gate.wait_for(1)
    client.reset()
    # Others come and go on connections that might have taken its record.
    for _ in range(3):
        with closing(Client(workers.address)) as other:
            assert other.ask("/").status == 200
    wait_until(lambda: [reading.target for reading in workers.scoreboard.exchanges(0)] == ["/stream"])
    assert workers.scoreboard.exchanges(0)[0].phase == "running"
    gate.open()
    wait_until(lambda: not workers.scoreboard.exchanges(0))


def test_every_request_is_counted_once_with_its_times(workers: Workers, connect: Connect) -> None:
    workers.start()
    client = connect(workers.address)
    for _ in range(3):
        assert client.ask("/zeros/100").status == 200
    client.post("/digest", b"12345")
    assert client.answer().status == 200
    refused = connect(workers.address)
    refused.send(b"GET / HTTP/1.1\r\n\r\n")
    assert refused.answer().status == 400

    def shows() -> PlaceReading:
        return workers.scoreboard.place(0)

    wait_until(lambda: shows().counters["requests"] == 5)
    counters, histograms = shows().counters, shows().histograms
    assert (counters["refused"], counters["timed_out"], counters["aborted"]) == (1, 0, 0)
    assert (counters["bytes_in"], counters["bytes_out"]) == (5, 300 + 64)
    assert {name: histogram.count for name, histogram in histograms.items()} == {
        "head": 5,
        "queue": 4,
        "application": 4,
        "write": 5,
    }


def test_more_threads_than_there_are_counters_lose_no_count(workers: Workers) -> None:
    workers.start(threads=80)

    def ask() -> None:
        with closing(Client(workers.address)) as client:
            for _ in range(10):
                assert client.ask("/").status == 200

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    wait_until(lambda: workers.scoreboard.place(0).counters["requests"] == 200)


def test_the_heartbeat_goes_on_while_a_worker_has_nothing_to_do(workers: Workers) -> None:
    workers.start()
    first_ns = workers.scoreboard.place(0).heartbeat_ns
    wait_until(lambda: workers.scoreboard.place(0).heartbeat_ns > max(first_ns, 1))


def test_a_worker_says_that_it_drains(workers: Workers, connect: Connect, gate: Gate) -> None:
    worker = workers.start()
    wait_until(lambda: workers.scoreboard.place(0).state == "ready")
    wait_until(lambda: workers.scoreboard.place(0).is_accepting)
    client = connect(workers.address)
    client.get("/gate")
    gate.wait_for(1)
    worker.tell("drain")
    assert workers.scoreboard.place(0).state == "draining"
    wait_until(lambda: not workers.scoreboard.place(0).is_accepting)
    gate.open()
    assert client.answer().status == 200
    wait_until(lambda: workers.scoreboard.place(0).state == "gone")
