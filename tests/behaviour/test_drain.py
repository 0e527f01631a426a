"""SIGTERM with clients in every state: each request whose head was received gets a whole answer."""

from __future__ import annotations

import hashlib
import signal
from typing import TYPE_CHECKING

from tests.behaviour.applications import PIECE_BYTES

if TYPE_CHECKING:
    from tests.behaviour.gates import Gate
    from tests.behaviour.kinds import Connect, Spawn

BODY = b"0123456789" * 100
LARGE_BYTES = 200_000


def test_two_hundred_clients_in_mixed_states_get_whole_answers_after_sigterm(
    spawn: Spawn, connect: Connect, gate: Gate
) -> None:
    assert len(BODY) < PIECE_BYTES
    server = spawn("--workers", "2", "--threads", "4")
    address = server.address()
    idle = [connect(address) for _ in range(20)]
    for client in idle:
        assert client.ask().body == b"hello"
    silent = [connect(address) for _ in range(20)]
    half_heads = [connect(address) for _ in range(40)]
    for client in half_heads:
        client.send(b"GET / HTTP/1.1\r\nHost: local")
    half_bodies = [connect(address) for _ in range(30)]
    for client in half_bodies:
        client.post("/digest", BODY[:300], length=len(BODY))
    reading = [connect(address, is_slow=True) for _ in range(10)]
    for client in reading:
        client.get(f"/zeros/{LARGE_BYTES}")
        client.receive_until(lambda received: b"\r\n\r\n" in received)
    # Those of one worker run at least, and the others wait in a worker or in the queue of the kernel.
    gated = [connect(address) for _ in range(40)]
    for client in gated:
        client.get("/gate")
    gate.wait_for(4)
    server.pause()
    connecting = [connect(address) for _ in range(40)]
    for client in connecting:
        client.get()
    server.send(signal.SIGTERM)
    server.wait_for_log("SIGTERM: finishing what was begun")
    server.resume()
    for _worker in range(2):
        server.wait_for_log("draining")
    for client in half_heads:
        client.send(b"host\r\n\r\n")
    for client in half_bodies:
        client.send(BODY[300:])
    gate.close()
    assert {client.answer().body for client in gated} == {b"let go"}
    assert {client.answer().body for client in connecting + half_heads} == {b"hello"}
    digest = hashlib.sha256(BODY).hexdigest().encode()
    assert {client.answer().body for client in half_bodies} == {digest}
    assert {len(client.answer().body) for client in reading} == {LARGE_BYTES}
    for client in idle + silent:
        assert client.end() == b""
    assert server.wait() == 0
    assert not [line for line in server.log if "unfinished" in line]
