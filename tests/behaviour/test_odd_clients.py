"""Steps 1 to 3 from outside - clients that go half way: half-closed, gone too soon, sending on."""

from __future__ import annotations

import pytest

from tests.behaviour.clients import Client
from tests.behaviour.gates import Gate
from tests.behaviour.kinds import Connect, Spawn

# One second in which a process that spins would use one.
WITNESS_S = "1.0"
SPIN_S = 0.3


def wait_for_deadline(client: Client) -> None:
    """Until the server gives up on a head that never ends, after WITNESS_S."""
    client.send(b"GET")
    assert client.answer().status == 408


def test_client_that_has_finished_sending_gets_its_answer(spawn: Spawn, connect: Connect, gate: Gate) -> None:
    server = spawn()
    client = connect(server.address())
    client.get("/gate")
    client.finish()
    gate.wait_for(1)
    gate.open()
    assert client.answer().body == b"let go"
    assert client.end() == b""
    assert server.stop() == 0


def test_client_that_has_finished_sending_gets_all_answers_of_its_pipeline(
    spawn: Spawn, connect: Connect
) -> None:
    server = spawn()
    client = connect(server.address())
    for _ in range(10):
        client.get("/")
    client.finish()
    assert [client.answer().body for _ in range(10)] == [b"hello"] * 10
    assert client.end() == b""
    assert server.stop() == 0


def test_half_closed_connections_cost_no_cpu_while_the_application_works(
    spawn: Spawn, connect: Connect, gate: Gate
) -> None:
    server = spawn("--head-timeout", WITNESS_S)
    address = server.address()
    witness = connect(address)
    clients = [connect(address) for _ in range(4)]
    for client in clients:
        client.get("/gate")
        client.finish()
    gate.wait_for(4)
    before_s = server.cpu_s()
    wait_for_deadline(witness)
    assert server.cpu_s() - before_s < SPIN_S
    gate.open()
    assert [client.answer().status for client in clients] == [200] * 4
    assert server.stop() == 0


def test_unread_upload_and_unread_answer_cost_no_cpu(spawn: Spawn, connect: Connect, gate: Gate) -> None:
    server = spawn("--head-timeout", WITNESS_S)
    address = server.address()
    witness = connect(address)
    uploading = connect(address)
    uploading.post("/gate", bytes(100_000), length=5_000_000)
    reading = connect(address, is_slow=True)
    reading.get("/zeros/1000000")
    reading.receive_until(lambda received: b"\r\n\r\n" in received)
    gate.wait_for(1)
    before_s = server.cpu_s()
    wait_for_deadline(witness)
    assert server.cpu_s() - before_s < SPIN_S


def test_connections_that_are_gone_before_they_are_accepted_leave_nothing(
    spawn: Spawn, connect: Connect
) -> None:
    server = spawn("--head-timeout", WITNESS_S)
    address = server.address()
    witness = connect(address)
    assert witness.ask().status == 200
    descriptors = server.descriptors()
    # Stopped, so that all of them are gone before the server looks.
    server.pause()
    for number in range(200):
        client = connect(address)
        if number % 2:
            client.get()
        client.reset()
    server.resume()
    assert witness.ask().status == 200
    before_s = server.cpu_s()
    wait_for_deadline(witness)
    assert server.cpu_s() - before_s < SPIN_S
    assert server.descriptors() <= descriptors
    assert server.stop() == 0


def test_clients_that_are_gone_before_their_turn_hold_no_thread(
    spawn: Spawn, connect: Connect, gate: Gate
) -> None:
    server = spawn("--threads", "1")
    address = server.address()
    first = connect(address)
    first.get("/gate")
    gate.wait_for(1)
    for _ in range(50):
        client = connect(address)
        client.get("/zeros/100000")
        client.reset()
    last = connect(address)
    last.get()
    gate.open()
    assert first.answer().status == 200
    assert last.answer().body == b"hello"
    assert server.stop() == 0


@pytest.mark.parametrize("is_known", [False, True])
def test_line_break_after_a_last_request_does_not_destroy_its_answer(
    spawn: Spawn, connect: Connect, gate: Gate, is_known: bool
) -> None:
    server = spawn()
    client = connect(server.address())
    if is_known:
        assert client.ask().status == 200
    client.post("/gate", b"a=b", "Connection: close")
    gate.wait_for(1)
    # Some clients end a form with a line break that its length does not count.
    client.send(b"\r\n")
    gate.open()
    assert client.answer().body == b"let go"
    assert client.end() == b""
    client.close()
    assert server.stop() == 0


def test_thousand_connections_that_come_and_go_are_forgotten(spawn: Spawn, connect: Connect) -> None:
    server = spawn()
    address = server.address()
    witness = connect(address)
    assert witness.ask().status == 200
    descriptors = server.descriptors()
    clients = [connect(address) for _ in range(400)]
    assert [client.ask().status for client in clients] == [200] * 400
    for client in clients:
        client.close()
    for _ in range(5000):
        if server.descriptors() <= descriptors:
            break
        assert witness.ask().status == 200
    assert server.descriptors() <= descriptors
    assert server.stop() == 0
