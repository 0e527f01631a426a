"""Steps 1 and 2 from outside - when descriptors or connections run out, clients wait and nothing spins."""

from __future__ import annotations

import sys

from tests.behaviour.clients import Client
from tests.behaviour.kinds import Connect, Spawn

# Few enough to be used up by a test, enough for Python to import what it needs.
DESCRIPTORS = 48

WITH_FEW_DESCRIPTORS = f"""
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({DESCRIPTORS}, {DESCRIPTORS}))
os.execv(sys.argv[1], sys.argv[1:])
"""
BEFORE = (sys.executable, "-c", WITH_FEW_DESCRIPTORS)


def answered(clients: list[Client]) -> int:
    """How many get an answer within a moment of the last."""
    count = 0
    for client in clients:
        if not client.has_news(0.3):
            return count
        assert client.answer().status == 200
        count += 1
    return count


def test_clients_wait_while_descriptors_have_run_out_and_are_served_after(
    spawn: Spawn, connect: Connect
) -> None:
    server = spawn(before=BEFORE)
    address = server.address()
    clients = [connect(address) for _ in range(2 * DESCRIPTORS)]
    for client in clients:
        client.get()
    server.wait_for_log("accepting waits")
    served = answered(clients)
    assert 0 < served < DESCRIPTORS
    # Those who are in are still served.
    assert clients[0].ask().status == 200
    for client in clients[:served]:
        client.close()
    rest = clients[served:]
    while rest:
        # Each that leaves makes room for one that waits.
        assert rest[0].answer().status == 200
        rest.pop(0).close()
    assert server.stop() == 0


def test_running_out_of_descriptors_costs_no_cpu(spawn: Spawn, connect: Connect) -> None:
    server = spawn("--head-timeout", "1.5", before=BEFORE)
    address = server.address()
    witness = connect(address)
    assert witness.ask().status == 200
    for _ in range(2 * DESCRIPTORS):
        connect(address)
    server.wait_for_log("accepting waits")
    witness.send(b"GET")
    before_s = server.cpu_s()
    # 1.5 s in which others wait to be accepted all the time.
    assert witness.answer().status == 408
    assert server.cpu_s() - before_s < 0.3
    # The log says it once, not each time that it is tried again.
    assert server.stop() == 0
    assert len([line for line in server.log if "accepting waits" in line]) < 4


def test_file_that_cannot_be_opened_for_want_of_descriptors_is_a_500_and_no_more(
    spawn: Spawn, connect: Connect
) -> None:
    server = spawn(before=BEFORE)
    address = server.address()
    first = connect(address)
    assert first.ask().status == 200
    clients = [connect(address) for _ in range(2 * DESCRIPTORS)]
    server.wait_for_log("accepting waits")
    # The application opens a socket for its gate, and there is no descriptor left.
    assert first.ask("/gate").status == 500
    for client in clients:
        client.close()
    assert connect(address).ask().status == 200
    assert server.stop() == 0


def test_connections_beyond_the_limit_wait_for_room(spawn: Spawn, connect: Connect) -> None:
    server = spawn("--max-connections", "4")
    address = server.address()
    clients = [connect(address) for _ in range(7)]
    for client in clients:
        client.get()
    server.wait_for_log("max_connections are open")
    assert answered(clients) == 4
    for number in range(3):
        clients[number].close()
        assert clients[4 + number].answer().status == 200
    assert server.stop() == 0


def test_idle_connections_give_way_to_clients_with_a_request(spawn: Spawn, connect: Connect) -> None:
    server = spawn("--max-connections", "2")
    address = server.address()
    kept_alive, silent = connect(address), connect(address)
    assert kept_alive.ask().status == 200
    # Both places are taken, by nobody who asks; neither has to wait for its deadline to be cleared away.
    newcomer = connect(address)
    assert newcomer.ask().status == 200
    assert kept_alive.end() == b"" or silent.end() == b""
    assert server.stop() == 0


def test_connection_with_a_request_under_way_never_gives_way(spawn: Spawn, connect: Connect) -> None:
    server = spawn("--max-connections", "2")
    address = server.address()
    half, idle = connect(address), connect(address)
    half.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
    newcomer = connect(address)
    assert newcomer.ask().status == 200
    assert idle.end() == b""
    half.send(b"\r\n")
    assert half.answer().status == 200
    assert server.stop() == 0
