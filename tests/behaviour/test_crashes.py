"""Workers that die: each is replaced, and nothing is lost but what it had begun."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.clients import CutShortError
from tests.behaviour.deployments import WITH_GATES, Deployment, good
from tests.behaviour.load import Load
from tests.behaviour.processes import wait_until

if TYPE_CHECKING:
    from tests.behaviour.gates import Gate
    from tests.behaviour.kinds import Connect, Spawn

# Answers "leaves", and leaves a process behind that nobody waits for but process 1 or the supervisor.
WITH_GRANDCHILD = f"""
{WITH_GATES}
def app(environ, start_response):
    middle = os.fork()
    if middle == 0:
        if os.fork() == 0:
            wait_at(os.environ["GATE"])
        os._exit(0)
    os.waitpid(middle, 0)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"left one"]
"""


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["plain", "preload"])
def test_killing_one_of_four_workers_under_load_loses_only_what_it_had_begun(
    deployment: Deployment, preload: tuple[str, ...]
) -> None:
    server = deployment.start("--workers", "4", *preload)
    address = server.address()
    with Load(address, threads=12) as load:
        killed = deployment.status()["workers"][1]["pid"]
        load.wait_for_more(200)
        os.kill(killed, signal.SIGKILL)
        assert f"worker 1 (pid {killed}, generation 1) has ended: killed by SIGKILL" in server.wait_for_log(
            "has ended"
        )
        load.wait_for_more(200)
    # On a connection whose worker is known it is that one. On a new one it cannot be known, but who has lost
    # a request and asks again is served by another: nobody loses two.
    assert {loss.served_by for loss in load.losses} <= {f"first {killed}", ""}, load.losses
    threads = [loss.thread for loss in load.losses]
    assert len(set(threads)) == len(threads), load.losses
    assert not [loss for loss in load.losses if "refused" in loss.why.lower()]
    replaced = [worker for worker in deployment.status()["workers"] if worker["slot"] == 1]
    assert [worker["pid"] != killed for worker in replaced] == [True]
    assert server.stop() == 1


def test_requests_of_a_worker_that_died_are_told_with_its_end(
    spawn: Spawn, connect: Connect, gate: Gate
) -> None:
    server = spawn()
    client = connect(server.address())
    client.get("/gate?secret=%0A")
    gate.wait_for(1)
    os.kill(server.workers()[0], signal.SIGKILL)
    line = server.wait_for_log("has ended: killed by SIGKILL; it had GET /gate")
    assert "from 127.0.0.1, running for " in line
    with pytest.raises(CutShortError):
        client.answer()
    assert server.stop() == 1


def test_exit_code_of_a_worker_that_ends_itself_is_told(deployment: Deployment, connect: Connect) -> None:
    deployment.write("import os\ndef app(*_):\n    os._exit(42)\n")
    server = deployment.start()
    address = server.address()
    client = connect(address)
    client.get()
    server.wait_for_log("has ended: exit code 42; it had GET / from 127.0.0.1")
    with pytest.raises(CutShortError):
        client.answer()
    assert server.stop() == 1


def test_worker_that_keeps_dying_is_started_with_growing_delays(
    deployment: Deployment, connect: Connect
) -> None:
    deployment.write("import os\ndef app(*_):\n    os._exit(1)\n")
    server = deployment.start()
    address = server.address()
    for delay in (None, "0.2", "0.4"):
        with suppress(CutShortError):
            connect(address).ask()
        server.wait_for_log("has ended: exit code 1")
        if delay is not None:
            server.wait_for_log(f"worker 0 keeps dying: the next is started in {delay} s")
    assert server.stop() == 1


def test_broken_code_on_the_disk_does_not_stop_the_attempts_to_replace_a_worker(
    deployment: Deployment, connect: Connect
) -> None:
    server = deployment.start()
    address = server.address()
    deployment.write("1 / 0")
    os.kill(server.workers()[0], signal.SIGKILL)
    server.wait_for_log("could not be started")
    server.wait_for_log("keeps dying")
    deployment.write(good("mended"))
    # Waits in the queue until a worker comes up.
    assert connect(address).ask().body.startswith(b"mended ")
    assert server.stop() == 1


def test_worker_that_closes_its_channel_is_replaced(deployment: Deployment, connect: Connect) -> None:
    deployment.write(
        "import os\ndef app(environ, start_response):\n    os.closerange(3, 100)\n"
        "    start_response('200 OK', [])\n    return []\n"
    )
    server = deployment.start()
    address = server.address()
    with suppress(CutShortError):
        connect(address).ask()
    # By the supervisor, or by the engine that finds its own descriptors closed: whoever is first.
    server.wait_for_log("has ended: killed by SIG")
    deployment.write(good("second"))
    server.send(signal.SIGHUP)
    server.wait_for_log("generation 2 serves")
    assert connect(address).ask().body.startswith(b"second ")
    assert server.stop() == 1


def test_process_that_a_worker_leaves_behind_hears_its_own_signals_and_is_reaped(
    deployment: Deployment, connect: Connect, gate: Gate
) -> None:
    deployment.write(WITH_GRANDCHILD)
    server = deployment.start(GATE=gate.path)
    address = server.address()
    (worker,) = server.workers()
    assert connect(address).ask().body == b"left one"
    gate.wait_for(1)
    # The kernel gave it to the supervisor when its parent had ended.
    (orphan,) = set(server.workers()) - {worker}
    os.kill(orphan, signal.SIGTERM)
    # A zombie exists until somebody takes its exit status.
    wait_until(lambda: not exists(orphan))
    assert server.workers() == [worker]
    assert deployment.status()["state"] == "serving"
    assert server.stop() == 0


def test_grandchild_outlives_its_worker_and_is_reaped(
    deployment: Deployment, connect: Connect, gate: Gate
) -> None:
    deployment.write(WITH_GRANDCHILD)
    server = deployment.start(GATE=gate.path)
    address = server.address()
    (worker,) = server.workers()
    assert connect(address).ask().body == b"left one"
    gate.wait_for(1)
    os.kill(worker, signal.SIGKILL)
    server.wait_for_log("has ended: killed by SIGKILL")
    assert connect(address).ask().body == b"left one"
    gate.wait_for(2)
    gate.open()
    wait_until(lambda: len(server.workers()) == 1)
    assert server.stop() == 1
