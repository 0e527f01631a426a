"""Upgrades: another supervisor takes the listeners over, or the old one goes on as if nothing had been."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.deployments import WITH_GATES, Deployment, good
from tests.behaviour.load import Load
from tests.behaviour.processes import wait_until

if TYPE_CHECKING:
    from tests.behaviour.gates import Gate
    from tests.behaviour.kinds import Connect


@pytest.fixture
def taken_over(deployment: Deployment) -> Iterator[list[int]]:
    """Process ids of new supervisors, which are nobody's children here; they are stopped at the end."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)


def has_ended(pid: int) -> bool:
    """Also when nobody has taken its exit status yet."""
    return not Path(f"/proc/{pid}/fd/0").exists()


def stop(pid: int) -> None:
    """End a process that is nobody's child here, with what it has begun finished."""
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: has_ended(pid))


def test_upgrade_command_keeps_listeners_control_socket_and_pid_file_and_loses_no_request(
    deployment: Deployment, taken_over: list[int]
) -> None:
    pid_file = deployment.directory / "pid"
    server = deployment.start("--workers", "2", "--pid-file", str(pid_file))
    address = server.address()
    assert pid_file.read_text() == f"{server.pid}\n"
    with Load(address) as load:
        deployment.write(good("second"))
        answer = deployment.command("upgrade")
        assert (answer["code"], answer["error"]) == (0, "")
        pid = answer["data"]["pid"]
        taken_over.append(pid)
        assert server.wait_for_log("serves now; finishing what was begun")
        wait_until(lambda: any(body.startswith("second") for body in load.bodies))
        load.wait_for_more(20)
    assert load.losses == []
    # Not `wait`: the log ends with the last process that holds it.
    assert server.wait_unread() == 0
    status = deployment.status()
    assert (status["pid"], status["state"]) == (pid, "serving")
    assert pid_file.read_text() == f"{pid}\n"
    stop(pid)
    wait_until(lambda: not pid_file.exists())
    assert not deployment.control.exists()


def test_sigusr2_upgrades(deployment: Deployment, connect: Connect, taken_over: list[int]) -> None:
    server = deployment.start()
    address = server.address()
    server.send(signal.SIGUSR2)
    taken_over.append(int(server.wait_for_log("a new supervisor starts as process").rpartition(" ")[2]))
    server.wait_for_log("serves now; finishing what was begun")
    assert server.wait_unread() == 0
    assert deployment.status()["pid"] == taken_over[0]
    assert connect(address).ask().status == 200


def test_request_of_the_old_supervisor_is_finished_after_an_upgrade(
    deployment: Deployment, connect: Connect, gate: Gate, taken_over: list[int]
) -> None:
    deployment.write(
        f"{WITH_GATES}\n"
        "def app(environ, start_response):\n"
        "    wait_at(os.environ['GATE'])\n"
        "    start_response('200 OK', [])\n"
        "    return [b'old']\n"
    )
    server = deployment.start(GATE=gate.path)
    client = connect(server.address())
    client.get()
    gate.wait_for(1)
    taken_over.append(deployment.command("upgrade")["data"]["pid"])
    assert deployment.status()["pid"] == taken_over[0]
    gate.open()
    assert client.answer().body == b"old"
    assert server.wait_unread() == 0


@pytest.mark.parametrize("ask", [False, True], ids=["signal", "command"])
def test_new_supervisor_that_cannot_load_the_application_changes_nothing(
    deployment: Deployment, connect: Connect, ask: bool
) -> None:
    pid_file = deployment.directory / "pid"
    server = deployment.start("--pid-file", str(pid_file))
    address = server.address()
    deployment.write("1 / 0")
    if ask:
        failed = deployment.barkeep("upgrade")
        assert failed.returncode == 1
        assert "the new supervisor ended before it was ready" in failed.stderr
    else:
        server.send(signal.SIGUSR2)
    server.wait_for_log("upgrade failed, nothing has changed")
    assert connect(address).ask().body.startswith(b"first ")
    assert deployment.status()["pid"] == server.pid
    assert pid_file.read_text() == f"{server.pid}\n"
    # The next one, with mended code, works as if the first had not been.
    deployment.write(good("second"))
    pid = deployment.command("upgrade")["data"]["pid"]
    assert server.wait_unread() == 0
    assert connect(address).ask().body.startswith(b"second ")
    stop(pid)


def test_new_supervisor_whose_settings_are_wrong_changes_nothing(
    deployment: Deployment, connect: Connect
) -> None:
    toml = deployment.directory / "barkeep.toml"
    server = deployment.start()
    address = server.address()
    toml.write_text('threads = "many"\n')
    assert deployment.command("upgrade")["code"] == 1
    assert connect(address).ask().body.startswith(b"first ")
    assert deployment.status()["state"] == "serving"
    assert server.stop() == 0


def test_new_supervisor_that_is_not_ready_in_time_is_ended(
    deployment: Deployment, connect: Connect, gate: Gate
) -> None:
    server = deployment.start("--ready-timeout", "1", GATE=gate.path)
    address = server.address()
    deployment.write(f"{WITH_GATES}wait_at(os.environ['GATE'])\n{good('never')}")
    answer = deployment.command("upgrade")
    assert answer["code"] == 1
    assert connect(address).ask().body.startswith(b"first ")
    assert server.stop() == 0


def test_second_upgrade_at_the_same_time_is_refused(
    deployment: Deployment, gate: Gate, taken_over: list[int]
) -> None:
    server = deployment.start(GATE=gate.path)
    server.address()
    deployment.write(f"{WITH_GATES}wait_at(os.environ['GATE'])\n{good('second')}")
    server.send(signal.SIGUSR2)
    gate.wait_for(1)
    answer = deployment.command("upgrade")
    assert (answer["code"], answer["error"]) == (1, "an upgrade is under way.")
    gate.close()
    server.wait_for_log("serves now")
    assert server.wait_unread() == 0
    taken_over.append(deployment.status()["pid"])


def test_unix_socket_outlives_a_failed_upgrade_and_goes_with_one_that_drops_it(
    deployment: Deployment, connect: Connect
) -> None:
    toml = deployment.directory / "barkeep.toml"
    one, two = (deployment.directory / name for name in ("one", "two"))
    toml.write_text(f'bind = ["unix:{one}", "unix:{two}"]\n')
    server = deployment.run("site_under_test:app", "--control-socket", str(deployment.control))
    server.address()
    toml.write_text(f'bind = "unix:{one}"\n')
    deployment.write("1 / 0")
    assert deployment.command("upgrade")["code"] == 1
    for path in (one, two):
        assert connect(str(path)).ask().body.startswith(b"first ")
    deployment.write(good("second"))
    pid = deployment.command("upgrade")["data"]["pid"]
    assert server.wait_unread() == 0
    assert connect(str(one)).ask().body.startswith(b"second ")
    wait_until(lambda: not two.exists())
    stop(pid)
    assert not one.exists()


def test_upgrade_twice(deployment: Deployment, connect: Connect, taken_over: list[int]) -> None:
    server = deployment.start()
    address = server.address()
    before = server.pid
    for version in ("second", "third"):
        deployment.write(good(version))
        pid = deployment.command("upgrade")["data"]["pid"]
        taken_over.append(pid)
        # Who asks is answered before the old one lets go.
        wait_until(functools.partial(has_ended, before))
        before = pid
        assert deployment.status()["pid"] == pid
        assert connect(address).ask().body.startswith(version.encode())
    assert server.wait_unread() == 0


def test_stop_during_an_upgrade_stops_both(deployment: Deployment, gate: Gate) -> None:
    server = deployment.start(GATE=gate.path)
    server.address()
    deployment.write(f"{WITH_GATES}wait_at(os.environ['GATE'])\n{good('never')}")
    server.send(signal.SIGUSR2)
    pid = int(server.wait_for_log("a new supervisor starts as process").rpartition(" ")[2])
    gate.wait_for(1)
    server.send(signal.SIGTERM)
    # The log ends when the last process that holds it has ended.
    assert server.wait() == 0
    assert has_ended(pid)


def test_command_that_an_upgrade_overtakes_is_answered(
    deployment: Deployment, gate: Gate, taken_over: list[int]
) -> None:
    server = deployment.start(GATE=gate.path)
    server.address()
    deployment.write(f"{WITH_GATES}wait_at(os.environ['GATE'])\n{good('never')}")
    with ThreadPoolExecutor(1) as pool:
        recycle = pool.submit(deployment.command, "recycle", slot=0)
        gate.wait_for(1)
        deployment.write(good("second"))
        taken_over.append(deployment.command("upgrade")["data"]["pid"])
        answer = recycle.result()
    assert answer["code"] == 1
    assert "another supervisor has taken over meanwhile" in answer["error"]
    assert server.wait_unread() == 0
