"""--lame-duck: after SIGTERM load balancers hear "not ready" and clients are served on, for a while."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.behaviour.processes import wait_until

if TYPE_CHECKING:
    from tests.behaviour.gates import Gate
    from tests.behaviour.kinds import Connect, Spawn


def test_lame_duck_is_not_ready_and_serves_who_comes(spawn: Spawn, connect: Connect) -> None:
    server = spawn("--workers", "2", "--lame-duck", "3600", "--health-path", "/health")
    address = server.address()
    kept = connect(address)
    assert kept.ask("/health/readyz").status == 200
    server.send(signal.SIGTERM)
    server.wait_for_log("accepting for 3600 s more (--lame-duck)")
    wait_until(lambda: connect(address).ask("/health/readyz", "Connection: close").status == 503)
    for _ in range(10):
        assert connect(address).ask("/", "Connection: close").body == b"hello"
    # It lives: nobody may restart it for that.
    assert connect(address).ask("/health/livez").status == 200
    assert kept.ask("/").body == b"hello"
    server.send(signal.SIGTERM)
    assert server.wait() == 1


def test_lame_duck_drains_when_its_time_is_over(spawn: Spawn, connect: Connect, gate: Gate) -> None:
    server = spawn("--lame-duck", "0.3")
    client = connect(server.address())
    client.get("/gate")
    gate.wait_for(1)
    server.send(signal.SIGTERM)
    server.wait_for_log("draining")
    gate.open()
    assert client.answer().body == b"let go"
    assert server.wait() == 0


def test_worker_that_replaces_a_dead_one_is_a_lame_duck_too(spawn: Spawn, connect: Connect) -> None:
    server = spawn("--lame-duck", "3600", "--health-path", "/health")
    address = server.address()
    server.send(signal.SIGTERM)
    server.wait_for_log("(--lame-duck)")
    os.kill(server.workers()[0], signal.SIGKILL)
    server.wait_for_log("has ended: killed by SIGKILL")
    assert connect(address).ask("/", "Connection: close").body == b"hello"
    wait_until(lambda: connect(address).ask("/health/readyz", "Connection: close").status == 503)
    server.send(signal.SIGQUIT)
    assert server.wait() == 1
