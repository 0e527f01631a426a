"""The supervisor from outside: workers that die are replaced, and nothing that was not theirs is lost."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from tests.behaviour.processes import end_awaited

if TYPE_CHECKING:
    from tests.behaviour.gates import Gate
    from tests.behaviour.kinds import Connect, Spawn


def test_worker_that_is_killed_is_replaced_at_once(spawn: Spawn, connect: Connect) -> None:
    server = spawn("--workers", "2")
    address = server.address()
    killed, other = server.workers()
    os.kill(killed, signal.SIGKILL)
    assert f"pid {killed}" in server.wait_for_log("has ended: killed by SIGKILL")
    assert connect(address).ask().status == 200
    assert server.stop() == 1
    assert other != killed


def test_connection_that_waits_in_the_queue_is_served_by_the_next_worker(
    spawn: Spawn, connect: Connect
) -> None:
    server = spawn()
    address = server.address()
    server.pause()
    client = connect(address)
    client.get()
    os.kill(server.workers()[0], signal.SIGKILL)
    assert client.answer().body == b"hello"
    assert server.stop() == 1


def test_worker_that_gets_sigterm_is_replaced_before_it_goes(spawn: Spawn, connect: Connect) -> None:
    server = spawn()
    address = server.address()
    (before,) = server.workers()
    os.kill(before, signal.SIGTERM)
    server.wait_for_log("is replaced: it was asked to stop by a signal")
    server.wait_for_log("draining")
    assert connect(address).ask().status == 200
    assert server.stop() == 0


def test_one_more_and_one_less_worker_by_signal(spawn: Spawn) -> None:
    server = spawn()
    server.address()
    server.send(signal.SIGTTIN)
    server.wait_for_log("workers from now on: 2")
    server.send(signal.SIGTTOU)
    server.wait_for_log("workers from now on: 1")
    server.send(signal.SIGTTOU)
    server.wait_for_log("workers from now on: 1")
    assert server.stop() == 0


def test_worker_ends_when_its_supervisor_is_killed(spawn: Spawn, connect: Connect, gate: Gate) -> None:
    server = spawn()
    client = connect(server.address())
    client.get("/gate")
    gate.wait_for(1)
    server.send(signal.SIGKILL)
    server.wait_for_log("the supervisor has gone: finishing what was begun")
    gate.open()
    assert client.answer().body == b"let go"
    # The log ends when the last process that holds it has ended.
    server.wait()


def test_old_supervisor_finishes_what_it_began_when_the_new_one_ends_before(
    spawn: Spawn, connect: Connect, gate: Gate
) -> None:
    server = spawn()
    client = connect(server.address())
    client.get("/gate")
    gate.wait_for(1)
    server.send(signal.SIGUSR2)
    new = int(server.wait_for_log("a new supervisor starts as process").split()[-1])
    server.wait_for_log("serves now; finishing what was begun")
    with end_awaited(new):
        os.kill(new, signal.SIGTERM)
    # What it does about that is done before it looks at this.
    server.send(signal.SIGUSR1)
    gate.open()
    assert client.answer().body == b"let go"
    assert server.wait() == 0
    assert not [line for line in server.log if "the supervisor has gone" in line]
