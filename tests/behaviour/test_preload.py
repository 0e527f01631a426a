"""--preload: a zygote imports the application once and forks the workers, which share what it made."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tests.behaviour.deployments import WITH_GATES, Deployment, good
from tests.behaviour.load import Load
from tests.behaviour.processes import children_of, end_awaited, wait_until

if TYPE_CHECKING:
    from tests.behaviour.gates import Gate
    from tests.behaviour.kinds import Connect
    from tests.behaviour.processes import ServerProcess

# A list of objects, as an application's modules are: its memory is shared until somebody writes to it.
LARGE = f"LARGE = [str(number) for number in range(300_000)]\n{good('large')}"


def zygote_of(server: ServerProcess) -> int:
    """With --preload the workers are the zygote's children."""
    (zygote,) = server.workers()
    return zygote


def pss_of(deployment: Deployment) -> int:
    workers = deployment.status()["workers"]
    assert len(workers) == 2
    return sum(int(worker["memory_bytes"]) for worker in workers)


def test_workers_share_the_memory_of_what_was_imported(deployment: Deployment) -> None:
    deployment.write(LARGE)
    server = deployment.start("--workers", "2", "--preload")
    server.address()
    shared = pss_of(deployment)
    assert server.stop() == 0
    server = deployment.start("--workers", "2")
    server.address()
    assert shared < pss_of(deployment) * 0.8
    assert server.stop() == 0


def test_application_is_imported_once(deployment: Deployment, connect: Connect) -> None:
    deployment.write(f"open('imports', 'a').write('x')\n{good('first')}")
    server = deployment.start("--workers", "3", "--preload")
    server.address()
    assert (deployment.directory / "imports").read_text() == "x"
    assert len(children_of(zygote_of(server))) == 3
    assert server.stop() == 0


def test_threads_sockets_and_held_locks_of_the_import_are_told_with_who_made_them(
    deployment: Deployment,
) -> None:
    deployment.write(
        "import socket, threading\n"
        "threading.Thread(target=threading.Event().wait, name='poller', daemon=True).start()\n"
        "connection = socket.socket()\n"
        "lock = threading.Lock()\n"
        "lock.acquire()\n" + good("first")
    )
    server = deployment.start("--preload")
    server.address()
    module = f"{deployment.directory}/site_under_test.py"
    assert server.stop() == 0
    findings = [line.partition("preload: ")[2] for line in server.log if "preload: " in line]
    assert findings == [
        f"thread poller runs before the fork and not in a worker, started by {module}:2",
        f"a socket is open and would be shared by all workers, made by {module}:3",
        f"a lock is held and would be so for ever in each worker, made by {module}:4",
    ]


def test_worker_that_is_killed_is_forked_again_from_the_zygote(
    deployment: Deployment, connect: Connect
) -> None:
    server = deployment.start("--workers", "2", "--preload")
    address = server.address()
    zygote = zygote_of(server)
    killed, _other = children_of(zygote)
    # What is on the disk does not matter: the zygote has the application.
    deployment.write("1 / 0")
    os.kill(killed, signal.SIGKILL)
    assert f"pid {killed}" in server.wait_for_log("has ended: killed by SIGKILL")
    wait_until(lambda: len(children_of(zygote)) == 2 and killed not in children_of(zygote))
    assert connect(address).ask().body.startswith(b"first ")
    assert server.stop() == 1


def test_workers_go_on_without_their_zygote_and_another_is_started(
    deployment: Deployment, connect: Connect
) -> None:
    server = deployment.start("--workers", "2", "--preload")
    address = server.address()
    zygote = zygote_of(server)
    workers = {worker["pid"] for worker in deployment.status()["workers"]}
    with Load(address) as load:
        os.kill(zygote, signal.SIGKILL)
        server.wait_for_log("the zygote of generation 1 has ended: killed by SIGKILL; another is started")
        load.wait_for_more(50)
        # Until the new one has loaded, who is asked for waits.
        recycled = deployment.command("recycle", slot=0)
        assert (recycled["code"], recycled["error"]) == (0, "")
    assert load.losses == []
    assert {int(body.split()[1]) for body in load.bodies} <= workers | {recycled["data"]["pid"]}
    # Workers of the dead zygote are the supervisor's children now: it sees their end itself.
    killed = deployment.status()["workers"][-1]["pid"]
    os.kill(killed, signal.SIGKILL)
    assert f"pid {killed}" in server.wait_for_log("has ended: killed by SIGKILL")
    assert connect(address).ask().status == 200
    assert server.stop() == 1


def test_zygote_that_cannot_load_again_is_tried_again_and_the_workers_go_on(
    deployment: Deployment, connect: Connect
) -> None:
    server = deployment.start("--preload")
    address = server.address()
    deployment.write("1 / 0")
    os.kill(zygote_of(server), signal.SIGKILL)
    server.wait_for_log("the application could not be loaded again")
    server.wait_for_log("another is started in 0.2 s")
    assert connect(address).ask().body.startswith(b"first ")
    deployment.write(good("mended"))
    assert deployment.command("reload")["code"] == 0
    assert server.stop() == 0


def test_worker_that_was_asked_of_a_dying_zygote_is_asked_of_the_next(
    deployment: Deployment, connect: Connect, gate: Gate
) -> None:
    server = deployment.start("--preload", GATE=gate.path)
    address = server.address()
    zygote = zygote_of(server)
    (worker,) = children_of(zygote)
    deployment.write(f"{WITH_GATES}wait_at(os.environ['GATE'])\n{good('second')}")
    os.kill(zygote, signal.SIGKILL)
    server.wait_for_log("another is started")
    # The new zygote imports: what it is asked for waits in its channel.
    gate.wait_for(1)
    (importing,) = set(server.workers()) - {worker}
    os.kill(worker, signal.SIGKILL)
    server.wait_for_log(f"worker 0 (pid {worker}, generation 1) has ended")
    os.kill(importing, signal.SIGKILL)
    server.wait_for_log("another is started in 0.2 s")
    gate.close()
    assert connect(address).ask().body.startswith(b"second ")
    assert server.stop() == 1


def test_reload_makes_a_new_zygote_and_the_old_one_ends(deployment: Deployment, connect: Connect) -> None:
    server = deployment.start("--preload")
    address = server.address()
    before = zygote_of(server)
    deployment.write(good("second"))
    assert deployment.command("reload")["code"] == 0
    wait_until(lambda: len(server.workers()) == 1)
    assert zygote_of(server) != before
    assert connect(address).ask().body.startswith(b"second ")
    assert server.stop() == 0


def test_signal_to_the_whole_group_stops_without_a_loss(
    deployment: Deployment, connect: Connect, gate: Gate
) -> None:
    deployment.write(
        f"{WITH_GATES}\n"
        "def app(environ, start_response):\n"
        "    wait_at(os.environ['GATE'])\n"
        "    start_response('200 OK', [])\n"
        "    return [b'whole']\n"
    )
    server = deployment.start("--workers", "2", "--preload", GATE=gate.path)
    client = connect(server.address())
    client.get()
    gate.wait_for(1)
    # As a terminal and `systemctl kill` do.
    for pid in (zygote_of(server), *children_of(zygote_of(server)), server.pid):
        os.kill(pid, signal.SIGTERM)
    server.wait_for_log("draining")
    gate.open()
    assert client.answer().body == b"whole"
    assert server.wait() == 0
    assert not Path(f"/proc/{server.pid}/fd/0").exists()


def test_zygote_and_workers_end_when_the_supervisor_is_killed(
    deployment: Deployment, connect: Connect, gate: Gate
) -> None:
    deployment.write(
        f"{WITH_GATES}\n"
        "def app(environ, start_response):\n"
        "    wait_at(os.environ['GATE'])\n"
        "    start_response('200 OK', [])\n"
        "    return [b'whole']\n"
    )
    server = deployment.start("--preload", GATE=gate.path)
    client = connect(server.address())
    client.get()
    gate.wait_for(1)
    zygote = zygote_of(server)
    (worker,) = children_of(zygote)
    server.send(signal.SIGKILL)
    server.wait_for_log("the supervisor has gone: finishing what was begun")
    gate.open()
    assert client.answer().body == b"whole"
    wait_until(lambda: not any(Path(f"/proc/{pid}/fd/0").exists() for pid in (zygote, worker)))


def test_reload_is_answered_when_its_zygote_is_reaped_before_it_is_heard(
    deployment: Deployment, gate: Gate
) -> None:
    server = deployment.start("--preload", GATE=gate.path)
    server.address()
    deployment.write(f"{WITH_GATES}wait_at(os.environ['GATE'])\nraise RuntimeError('on purpose')\n")
    with ThreadPoolExecutor(1) as pool:
        reload = pool.submit(deployment.command, "reload")
        gate.wait_for(1)
        with end_awaited(children_of(server.pid)[-1]):
            server.send(signal.SIGSTOP)
            gate.open()
        server.send(signal.SIGCONT)
        answer = reload.result()
    assert answer["code"] == 1
    assert "RuntimeError" in answer["error"]
    assert server.stop() == 0
    assert not [line for line in server.log if "this is a bug" in line]
