"""Step 1 from outside - workers that share a listener share its connections, and lose none."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import ExitStack, closing

import pytest

from tests.behaviour.clients import WAIT_S, Address, Client
from tests.behaviour.gates import Gate
from tests.behaviour.kinds import Connect
from tests.behaviour.workers import Workers

GET_ONCE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
REQUESTS = 10_000


@pytest.fixture
def workers(cleanup: ExitStack, gate: Gate) -> Workers:
    return cleanup.enter_context(closing(Workers(gate.path)))


def wait_until_they_know_each_other(workers: Workers) -> None:
    """Two heartbeats of each: within one, a worker looks who its siblings are."""
    for index, _ in enumerate(workers.processes):
        for _ in range(2):
            before_ns = workers.scoreboard.place(index).heartbeat_ns
            until_s = time.monotonic() + WAIT_S
            while workers.scoreboard.place(index).heartbeat_ns == before_ns:
                assert time.monotonic() < until_s, "the worker stands still"
                os.sched_yield()


def ask_once(address: Address) -> None:
    with socket.socket() as client:
        client.settimeout(WAIT_S)
        client.connect(address)
        client.sendall(GET_ONCE)
        answer = b""
        while received := client.recv(4096):
            answer += received
        assert answer.startswith(b"HTTP/1.1 200 "), answer


def ask_many(address: Address, requests: int, clients: int) -> None:
    """So many requests, each on a connection of its own, from so many clients at a time."""
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(requests // clients):
                ask_once(address)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


def requests_of(workers: Workers) -> list[int]:
    """What each worker has counted."""
    places = range(len(workers.processes))
    return [workers.scoreboard.place(index).counters["requests"] for index in places]


@pytest.mark.parametrize("clients", [1, 20])
@pytest.mark.parametrize("count", [2, 4])
def test_no_worker_serves_much_more_than_another(workers: Workers, count: int, clients: int) -> None:
    for _ in range(count):
        workers.start()
    wait_until_they_know_each_other(workers)
    ask_many(workers.address, REQUESTS, clients)
    counts = requests_of(workers)
    assert sum(counts) == REQUESTS
    assert max(counts) <= 1.3 * min(counts), counts


def test_a_worker_without_a_free_thread_leaves_connections_to_one_that_has(
    workers: Workers, connect: Connect, gate: Gate
) -> None:
    for _ in range(2):
        workers.start(threads=1)
    wait_until_they_know_each_other(workers)
    stuck = connect(workers.address)
    stuck.get("/gate")
    gate.wait_for(1)
    # Each of these would wait for the gate if the busy worker took it.
    ask_many(workers.address, 200, clients=1)
    gate.open()
    assert stuck.answer().status == 200


def test_when_no_worker_has_a_free_thread_connections_wait_and_none_is_lost(
    workers: Workers, connect: Connect, gate: Gate
) -> None:
    for _ in range(2):
        workers.start(threads=1)
    wait_until_they_know_each_other(workers)
    clients = [connect(workers.address) for _ in range(12)]
    for client in clients:
        client.get("/gate", "Connection: close")
    for arrivals in range(len(clients)):
        gate.wait_for(1)
        gate.open()
        assert arrivals < len(clients)
    assert [client.answer().status for client in clients] == [200] * len(clients)


def test_a_worker_that_stands_still_strands_no_connection(workers: Workers) -> None:
    for _ in range(2):
        workers.start()
    wait_until_they_know_each_other(workers)
    workers.processes[0].halt()
    # The kernel may wake the one that cannot come: the other looks by itself.
    ask_many(workers.address, 20, clients=1)
    workers.processes[0].go_on()


def test_a_worker_that_is_killed_strands_no_connection(workers: Workers) -> None:
    for _ in range(2):
        workers.start()
    wait_until_they_know_each_other(workers)
    workers.processes[0].close()
    ask_many(workers.address, 200, clients=4)
    assert requests_of(workers)[1] == 200


def test_a_worker_that_comes_later_shares_at_once_and_is_not_given_everything(workers: Workers) -> None:
    workers.start()
    ask_many(workers.address, 2_000, clients=4)
    workers.start()
    wait_until_they_know_each_other(workers)
    before = requests_of(workers)
    ask_many(workers.address, 4_000, clients=4)
    first, second = (after - earlier for after, earlier in zip(requests_of(workers), before, strict=True))
    assert first + second == 4_000
    assert max(first, second) <= 1.3 * min(first, second), (first, second)


def test_a_worker_that_drains_leaves_what_comes_to_its_sibling(workers: Workers) -> None:
    for _ in range(2):
        workers.start()
    wait_until_they_know_each_other(workers)
    with closing(Client(workers.address)) as client:
        assert client.ask("/").status == 200
        workers.processes[0].tell("drain")
        ask_many(workers.address, 200, clients=4)
