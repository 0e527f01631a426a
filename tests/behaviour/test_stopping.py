"""Steps 1 to 6, at the end - signals: what was begun is finished, or cut so that everybody can see it."""

from __future__ import annotations

import signal

import pytest

from tests.behaviour.clients import CutShortError
from tests.behaviour.gates import Gate
from tests.behaviour.kinds import Connect, Spawn


def test_eight_requests_in_flight_are_answered_whole_after_sigterm(
    spawn: Spawn, connect: Connect, gate: Gate
) -> None:
    server = spawn("--threads", "8")
    address = server.address()
    clients = [connect(address) for _ in range(8)]
    for client in clients:
        client.get("/gate")
    gate.wait_for(8)
    server.send(signal.SIGTERM)
    server.wait_for_log("SIGTERM: finishing what was begun")
    server.wait_for_log("draining")
    gate.open()
    answers = [client.answer() for client in clients]
    assert [answer.body for answer in answers] == [b"let go"] * 8
    assert {answer.field("connection") for answer in answers} == {"close"}
    assert server.wait() == 0
    assert not [line for line in server.log if "unfinished" in line]


def test_requests_that_wait_for_a_thread_are_answered_after_sigterm(
    spawn: Spawn, connect: Connect, gate: Gate
) -> None:
    server = spawn("--threads", "2")
    address = server.address()
    clients = [connect(address) for _ in range(8)]
    for client in clients:
        client.get("/gate")
    gate.wait_for(2)
    server.send(signal.SIGTERM)
    server.wait_for_log("draining")
    # Closed: whoever comes to it from now on passes.
    gate.close()
    assert [client.answer().body for client in clients] == [b"let go"] * 8
    assert server.wait() == 0


def test_connections_in_the_accept_queue_are_answered_after_sigterm(spawn: Spawn, connect: Connect) -> None:
    server = spawn()
    address = server.address()
    # Stopped, so that everything waits in the kernel when the signal is seen.
    server.pause()
    clients = [connect(address) for _ in range(30)]
    for client in clients:
        client.get()
    server.send(signal.SIGTERM)
    server.resume()
    assert [client.answer().body for client in clients] == [b"hello"] * 30
    assert server.wait() == 0


def test_connections_queued_behind_max_connections_are_answered_after_sigterm(
    spawn: Spawn, connect: Connect, gate: Gate
) -> None:
    server = spawn("--max-connections", "1")
    address = server.address()
    first, *others = (connect(address) for _ in range(4))
    first.get("/gate")
    gate.wait_for(1)
    for client in others:
        client.get()
    server.wait_for_log("max_connections are open")
    server.send(signal.SIGTERM)
    server.wait_for_log("draining")
    gate.open()
    assert first.answer().body == b"let go"
    assert [client.answer().body for client in others] == [b"hello"] * 3
    assert server.wait() == 0


def test_head_begun_before_sigterm_may_be_finished(spawn: Spawn, connect: Connect) -> None:
    server = spawn()
    address = server.address()
    client = connect(address)
    client.send(b"GET / HTTP/1.1\r\nHost:")
    # An answer to who came later: the half head is with the server.
    assert connect(address).ask().status == 200
    server.send(signal.SIGTERM)
    server.wait_for_log("draining")
    client.send(b" localhost\r\n\r\n")
    answer = client.answer()
    assert (answer.body, answer.field("connection")) == (b"hello", "close")
    assert server.wait() == 0


def test_upload_begun_before_sigterm_may_be_finished(spawn: Spawn, connect: Connect) -> None:
    server = spawn()
    address = server.address()
    client = connect(address)
    client.post("/digest", b"half", length=8)
    assert connect(address).ask().status == 200
    server.send(signal.SIGTERM)
    server.wait_for_log("draining")
    client.send(b"half")
    assert client.answer().status == 200
    assert server.wait() == 0


def test_stream_under_way_is_sent_to_its_end_after_sigterm(
    spawn: Spawn, connect: Connect, gate: Gate
) -> None:
    server = spawn()
    client = connect(server.address())
    client.get("/stream")
    assert client.head() == 200
    assert client.chunk() == b"before"
    gate.wait_for(1)
    server.send(signal.SIGTERM)
    server.wait_for_log("draining")
    gate.open()
    assert client.end() == b"5\r\nafter\r\n0\r\n\r\n"
    assert server.wait() == 0


def test_large_answer_that_is_being_read_is_sent_to_its_end_after_sigterm(
    spawn: Spawn, connect: Connect
) -> None:
    server = spawn()
    client = connect(server.address(), is_slow=True)
    client.get("/zeros/1000000")
    client.receive_until(lambda received: b"\r\n\r\n" in received)
    server.send(signal.SIGTERM)
    server.wait_for_log("draining")
    assert len(client.answer().body) == 1_000_000
    assert server.wait() == 0


def test_idle_connections_do_not_hold_a_stop(spawn: Spawn, connect: Connect) -> None:
    server = spawn("--keep-alive-timeout", "3600")
    clients = [connect(server.address())]
    assert clients[0].ask().status == 200
    assert server.stop() == 0
    assert clients[0].end() == b""


def test_connection_that_never_sent_a_byte_does_not_hold_a_stop(spawn: Spawn, connect: Connect) -> None:
    # A browser opens such connections ahead of need.
    server = spawn("--head-timeout", "3600")
    address = server.address()
    silent = connect(address)
    assert connect(address).ask().status == 200
    assert server.stop() == 0
    assert silent.end() == b""


def test_half_head_does_not_hold_a_stop_beyond_its_deadline(spawn: Spawn, connect: Connect) -> None:
    server = spawn("--head-timeout", "0.3")
    address = server.address()
    client = connect(address)
    client.send(b"GET / HTTP/1.1\r\n")
    assert connect(address).ask().status == 200
    server.send(signal.SIGTERM)
    assert client.answer().status == 408
    assert server.wait() == 0


def test_no_connection_is_accepted_after_the_drain_began(spawn: Spawn, connect: Connect, gate: Gate) -> None:
    server = spawn()
    address = server.address()
    client, idle = connect(address), connect(address)
    assert idle.ask().status == 200
    client.get("/gate")
    gate.wait_for(1)
    server.send(signal.SIGTERM)
    # Idle connections are closed when the accept queue has been emptied.
    assert idle.end() == b""
    with pytest.raises(ConnectionRefusedError):
        connect(address)
    gate.open()
    assert client.answer().status == 200
    assert server.wait() == 0


def test_request_sent_ahead_is_left_to_another_connection_after_sigterm(
    spawn: Spawn, connect: Connect, gate: Gate
) -> None:
    server = spawn()
    client = connect(server.address())
    client.get("/gate")
    gate.wait_for(1)
    client.get("/")
    server.send(signal.SIGTERM)
    server.wait_for_log("draining")
    gate.open()
    assert client.answer().field("connection") == "close"
    assert client.end() == b""
    assert server.wait() == 0


def test_graceful_timeout_aborts_and_logs_each_unfinished_request(
    spawn: Spawn, connect: Connect, gate: Gate
) -> None:
    server = spawn("--graceful-timeout", "0.2", "--threads", "2")
    address = server.address()
    clients = [connect(address) for _ in range(3)]
    for number, client in enumerate(clients):
        client.get(f"/gate/{number}")
    gate.wait_for(2)
    half = connect(address)
    half.post("/digest/3", b"half", length=8)
    half_head = connect(address)
    half_head.send(b"GET /4 HTTP/1.1\r\n")
    assert connect(address).ask("*").status == 400
    server.send(signal.SIGTERM)
    for client in clients:
        with pytest.raises(CutShortError):
            client.answer()
    assert server.wait() == 1
    unfinished = [line for line in server.log if "unfinished after" in line]
    assert len(unfinished) == 5, server.log
    for number, client in enumerate(clients):
        assert [line for line in unfinished if f"GET /gate/{number} from {client.name}" in line]
    assert [line for line in unfinished if f"POST /digest/3 from {half.name}" in line]
    assert [line for line in unfinished if half_head.name in line]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_aborts_at_once(
    spawn: Spawn, connect: Connect, gate: Gate, number: signal.Signals
) -> None:
    server = spawn("--graceful-timeout", "3600")
    client = connect(server.address())
    client.get("/gate")
    gate.wait_for(1)
    server.send(number)
    server.wait_for_log("finishing what was begun")
    server.wait_for_log("draining")
    server.send(number)
    server.wait_for_log(f"second {number.name}: aborting at once")
    server.wait_for_log(f"GET /gate from {client.name}")
    with pytest.raises(CutShortError):
        client.answer()
    assert server.wait() == 1


def test_second_signal_ends_the_process_however_many_threads_are_stuck(
    spawn: Spawn, connect: Connect, gate: Gate
) -> None:
    server = spawn("--graceful-timeout", "3600", "--threads", "64")
    address = server.address()
    for _ in range(64):
        connect(address).get("/gate")
    gate.wait_for(64)
    server.send(signal.SIGTERM)
    server.wait_for_log("finishing what was begun")
    server.wait_for_log("draining")
    server.send(signal.SIGTERM)
    # 64 threads, each waited for in turn for a second, would take longer than `wait` allows.
    assert server.wait() == 1


def test_sigint_stops_as_sigterm_does(spawn: Spawn, connect: Connect, gate: Gate) -> None:
    server = spawn()
    client = connect(server.address())
    client.get("/gate")
    gate.wait_for(1)
    server.send(signal.SIGINT)
    server.wait_for_log("SIGINT: finishing what was begun")
    server.wait_for_log("draining")
    gate.open()
    assert client.answer().body == b"let go"
    assert server.wait() == 0
