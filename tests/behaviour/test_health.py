"""Steps 3 and 6 from outside - probes are answered by the I/O thread, whatever Python does."""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.apps import answering
from tests.behaviour.clients import Address, Answer, Client
from tests.behaviour.gates import Gate
from tests.behaviour.kinds import Connect, Serve
from tests.behaviour.workers import Workers


@pytest.fixture
def workers(cleanup: ExitStack, gate: Gate) -> Workers:
    return cleanup.enter_context(closing(Workers(gate.path)))


def ask(address: Address, target: str) -> Answer:
    with closing(Client(address)) as client:
        return client.ask(target)


def says(address: Address, target: str) -> tuple[int, bytes]:
    answer = ask(address, target)
    return answer.status, answer.body


def test_a_ready_worker_says_so_on_its_health_listener(workers: Workers) -> None:
    workers.start()
    answer = ask(workers.health_address, "/readyz")
    assert (answer.status, answer.body) == (200, b"ok\n")
    assert answer.field("cache-control") == "no-store"
    assert answer.field("content-type") == "text/plain; charset=utf-8"
    assert says(workers.health_address, "/livez") == (200, b"ok\n")


def test_a_health_listener_answers_nothing_else(workers: Workers, connect: Connect) -> None:
    workers.start()
    for target in ("/", "/readyz/", "/zeros/5"):
        assert says(workers.health_address, target) == (404, b"not found\n")
    client = connect(workers.health_address)
    client.post("/livez", b"12345")
    assert client.answer().status == 404


def test_a_query_does_not_hide_the_path_and_head_has_no_body(workers: Workers, connect: Connect) -> None:
    workers.start()
    assert says(workers.health_address, "/livez?now=1") == (200, b"ok\n")
    client = connect(workers.health_address)
    client.send(b"HEAD /livez HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = client.answer("HEAD")
    assert (answer.status, answer.field("content-length")) == (200, "3")


def test_probes_follow_one_another_on_one_connection(workers: Workers, connect: Connect) -> None:
    workers.start()
    client = connect(workers.health_address)
    client.get("/livez")
    client.get("/readyz")
    assert [client.answer().status, client.answer().status] == [200, 200]
    assert client.ask("/livez").status == 200


def test_a_probe_with_a_body_is_answered_and_its_connection_ends(workers: Workers, connect: Connect) -> None:
    workers.start()
    client = connect(workers.health_address)
    client.send(b"GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345")
    answer = client.answer()
    assert (answer.status, answer.field("connection")) == (200, "close")


def test_before_it_is_ready_a_worker_lives_and_accepts_nothing_public(
    workers: Workers, connect: Connect
) -> None:
    worker = workers.start(waits_for_ready=True)
    early = connect(workers.address)
    early.get("/")
    assert says(workers.health_address, "/livez") == (200, b"ok\n")
    assert says(workers.health_address, "/readyz") == (503, b"starting\n")
    assert not workers.scoreboard.place(0).is_accepting
    assert workers.scoreboard.place(0).accepted == 0
    worker.tell("ready")
    assert early.answer().status == 200
    assert says(workers.health_address, "/readyz") == (200, b"ok\n")


def test_probes_are_answered_while_every_thread_is_busy(
    workers: Workers, connect: Connect, gate: Gate
) -> None:
    workers.start(threads=2, health_path="/-")
    for _ in range(2):
        connect(workers.address).get("/gate")
    gate.wait_for(2)
    assert says(workers.health_address, "/readyz") == (200, b"ok\n")
    assert says(workers.address, "/-/livez") == (200, b"ok\n")
    assert says(workers.address, "/-/readyz") == (200, b"ok\n")


def test_probes_get_through_when_no_more_connections_are_allowed(
    workers: Workers, connect: Connect, gate: Gate
) -> None:
    workers.start(max_connections=1)
    connect(workers.address).get("/gate")
    gate.wait_for(1)
    assert says(workers.health_address, "/readyz") == (200, b"ok\n")


def test_a_lame_duck_is_not_ready_and_goes_on_accepting_with_answers_that_close(
    workers: Workers, connect: Connect
) -> None:
    worker = workers.start()
    before = connect(workers.address)
    assert before.ask("/").field("connection") is None
    worker.tell("lame_duck")
    assert says(workers.health_address, "/readyz") == (503, b"lame duck\n")
    assert says(workers.health_address, "/livez") == (200, b"ok\n")
    for client in (before, connect(workers.address)):
        answer = client.ask("/")
        assert (answer.status, answer.field("connection")) == (200, "close")
    assert workers.scoreboard.place(0).is_lame_duck


def test_health_listeners_stay_open_until_a_drain_has_ended(
    workers: Workers, connect: Connect, gate: Gate
) -> None:
    worker = workers.start()
    last = connect(workers.address)
    last.get("/gate")
    gate.wait_for(1)
    prober = connect(workers.health_address)
    assert prober.ask("/readyz").status == 200
    worker.tell("drain")
    assert says(workers.health_address, "/readyz") == (503, b"draining\n")
    assert says(workers.health_address, "/livez") == (200, b"ok\n")
    gate.open()
    assert last.answer().status == 200


def test_a_probe_that_never_ends_does_not_hold_up_a_drain(workers: Workers, connect: Connect) -> None:
    worker = workers.start()
    prober = connect(workers.health_address)
    prober.send(b"GET /readyz HTTP/1.1\r\n")
    # Its bytes have arrived once a later probe is answered.
    assert says(workers.health_address, "/readyz") == (200, b"ok\n")
    worker.tell("drain")
    # How it ends is all the same to it; that it ends shows that the drain is over.
    prober.was_reset()


def test_the_application_has_these_paths_unless_a_health_path_is_set(serve: Serve, connect: Connect) -> None:
    server = serve(answering(b"application"))
    assert connect(server).ask("/readyz").body == b"application"
    server = serve(answering(b"application"), health_path="/-")
    assert connect(server).ask("/-/readyz").body == b"ok\n"
    assert connect(server).ask("/readyz").body == b"application"
    assert connect(server).ask("/-/else").body == b"application"


def test_a_probe_has_its_line_in_the_access_log(serve: Serve, connect: Connect, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    server = serve(answering(), health_path="/-", access_log=str(log), access_log_format="json")
    assert connect(server).ask("/-/livez").status == 200
    server.stop()
    [line] = map(json.loads, log.read_text().splitlines())
    assert (line["target"], line["status"], line["bytes_sent"]) == ("/-/livez", 200, 3)
    assert (line["outcome"], line["app_us"]) == ("complete", 0)
