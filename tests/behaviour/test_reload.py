"""Reload from outside: the new generation serves before the old one goes, or nothing changes at all."""

from __future__ import annotations

import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.deployments import WITH_GATES, Deployment, good
from tests.behaviour.load import Load
from tests.behaviour.processes import wait_until

if TYPE_CHECKING:
    from tests.behaviour.clients import Address
    from tests.behaviour.gates import Gate
    from tests.behaviour.kinds import Connect

# What a deploy can get wrong, and what the server says of it.
BROKEN = {
    "def app(:": "SyntaxError",
    "application = None": 'has no name "app"',
    "1 / 0": "ZeroDivisionError",
    "import os; os._exit(7)": "exit code 7",
    good("broken", "500 Internal Server Error"): "--warm-up / must be answered with 2xx or 3xx",
}
RELOADS = 50

# Waits at the gate that the environment names: while it is loaded, or in a request to /gate.
SLOW_TO_LOAD = f"{WITH_GATES}wait_at(os.environ['GATE'])\n"
SLOW_TO_ANSWER = (
    WITH_GATES
    + """
def app(environ, start_response):
    if environ["PATH_INFO"] == "/gate":
        wait_at(os.environ["GATE"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"old"]
"""
)


@pytest.fixture(params=[(), ("--preload",)], ids=["plain", "preload"])
def preload(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Options: each test that wants them runs with and without."""
    options: tuple[str, ...] = request.param
    return options


def is_watching(pid: int) -> bool:
    """Whether a process has asked the kernel to tell it of files (inotify(7), /proc/PID/fdinfo)."""
    try:
        return any("inotify wd:" in file.read_text() for file in Path(f"/proc/{pid}/fdinfo").iterdir())
    except OSError:
        return False


def version_of(connect: Connect, address: Address) -> str:
    return connect(address).ask("/", "Connection: close").body.decode().split()[0]


def wait_for_version(connect: Connect, address: Address, version: str) -> None:
    """A connection that was made as the old generation began to drain may still be its."""
    for _ in range(1000):
        if version_of(connect, address) == version:
            return
    raise AssertionError(f"{version} does not serve")


def test_fifty_reloads_under_load_ten_of_them_broken_lose_no_request(
    deployment: Deployment, preload: tuple[str, ...]
) -> None:
    server = deployment.start("--workers", "2", "--warm-up", "/", *preload)
    address = server.address()
    server.discard_log()
    broken = list(BROKEN.items()) * 2
    with Load(address) as load:
        for number in range(RELOADS):
            if number % 5 == 4:
                source, why = broken.pop()
                deployment.write(source)
                answer = deployment.command("reload")
                assert answer["code"] == 1
                assert why in answer["error"] + answer["data"]["traceback"]
            else:
                deployment.write(good(f"version-{number}"))
                answer = deployment.command("reload")
                assert (answer["code"], answer["error"]) == (0, "")
        load.wait_for_more(10)
    assert load.losses == []
    assert {body.split()[0] for body in load.bodies} > {"first", "version-48"}
    assert server.stop() == 0


def test_sighup_loads_a_new_generation(deployment: Deployment, connect: Connect) -> None:
    server = deployment.start()
    address = server.address()
    deployment.write(good("second"))
    server.send(signal.SIGHUP)
    server.wait_for_log("SIGHUP: loading a new generation")
    server.wait_for_log("generation 2 serves")
    wait_for_version(connect, address, "second")
    assert server.stop() == 0


def test_request_of_the_old_generation_is_finished_by_it(
    deployment: Deployment, connect: Connect, gate: Gate
) -> None:
    deployment.write(SLOW_TO_ANSWER)
    server = deployment.start(GATE=gate.path)
    address = server.address()
    old = connect(address)
    old.get("/gate")
    gate.wait_for(1)
    deployment.write(good("new"))
    assert deployment.command("reload")["code"] == 0
    wait_for_version(connect, address, "new")
    gate.open()
    answer = old.answer()
    assert (answer.body, answer.field("connection")) == (b"old", "close")
    assert server.stop() == 0


@pytest.mark.parametrize("source", BROKEN, ids=["syntax", "name", "import", "crash", "warm-up"])
def test_broken_reload_changes_nothing_and_is_told_once_in_the_log_and_in_status(
    deployment: Deployment, connect: Connect, source: str, preload: tuple[str, ...]
) -> None:
    server = deployment.start("--workers", "2", "--warm-up", "/", *preload)
    address = server.address()
    before = {worker["pid"] for worker in deployment.status()["workers"]}
    deployment.write(source)
    assert deployment.command("reload")["code"] == 1
    status = deployment.status()
    assert {worker["pid"] for worker in status["workers"] if worker["generation"] == 1} == before
    assert (status["state"], status["generation"]) == ("serving", 1)
    assert status["last_reload"]["is_good"] is False
    assert status["last_reload"]["reason"]
    assert version_of(connect, address) == "first"
    assert server.stop() == 0
    assert len([line for line in server.log if "error:" in line]) == 1, server.log
    assert [line for line in server.log if "reload failed, nothing has changed: " in line]


def test_barkeep_reload_tells_the_outcome_by_its_exit_code_and_the_traceback(deployment: Deployment) -> None:
    server = deployment.start()
    server.address()
    deployment.write("def app(*_):\n    pass\n1 / 0\n")
    failed = deployment.barkeep("reload")
    assert failed.returncode == 1
    assert 'site_under_test.py", line 3' in failed.stderr
    assert "ZeroDivisionError: division by zero" in failed.stderr
    assert "reload failed, nothing has changed" in failed.stderr
    shown = deployment.barkeep("status").stdout
    assert "last reload failed" in shown
    assert "ZeroDivisionError" in shown
    deployment.write(good("mended"))
    assert deployment.barkeep("reload").returncode == 0
    assert "failed" not in deployment.barkeep("status").stdout
    assert server.stop() == 0


def test_generation_that_is_not_ready_in_time_is_given_up(
    deployment: Deployment, connect: Connect, gate: Gate, preload: tuple[str, ...]
) -> None:
    server = deployment.start("--ready-timeout", "1.5", *preload, GATE=gate.path)
    address = server.address()
    deployment.write(SLOW_TO_LOAD + good("never"))
    answer = deployment.command("reload")
    assert answer["code"] == 1
    assert "not ready within 1.5 s (--ready-timeout)" in answer["error"]
    assert version_of(connect, address) == "first"
    assert server.stop() == 0


def test_generation_that_crashes_within_its_settle_time_never_serves(
    deployment: Deployment, connect: Connect, gate: Gate, preload: tuple[str, ...]
) -> None:
    server = deployment.start(*preload, "--settle-time", "3600", GATE=gate.path)
    address = server.address()
    crash = (
        f"{WITH_GATES}import threading\n"
        "def crash():\n    wait_at(os.environ['GATE'])\n    os._exit(9)\n"
        # With --preload the import is in the zygote, where threads do not cross a fork.
        "os.register_at_fork(after_in_child=lambda: threading.Thread(target=crash).start())\n"
        "threading.Thread(target=crash).start()\n"
    )
    deployment.write(crash + good("never"))
    with ThreadPoolExecutor(1) as pool:
        reload = pool.submit(deployment.command, "reload")
        gate.wait_for(2 if preload else 1)
        assert version_of(connect, address) == "first"
        gate.open()
        answer = reload.result()
    assert answer["code"] == 1
    assert "has ended: exit code 9" in answer["error"]
    assert version_of(connect, address) == "first"
    assert server.stop() == 0


def test_reload_that_is_asked_for_during_another_is_done_after_it(
    deployment: Deployment, connect: Connect, gate: Gate
) -> None:
    server = deployment.start(GATE=gate.path)
    address = server.address()
    deployment.write(SLOW_TO_LOAD + good("second"))
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(deployment.command, "reload")
        gate.wait_for(1)
        deployment.write(good("third"))
        others = [pool.submit(deployment.command, "reload") for _ in range(2)]
        while deployment.status()["generation"] == 1:
            gate.open()
        assert first.result()["data"]["generation"] == 2
        # Both are answered by the same one.
        assert [other.result()["data"]["generation"] for other in others] == [3, 3]
    wait_for_version(connect, address, "third")
    assert server.stop() == 0


def test_reload_reads_the_settings_again(deployment: Deployment, connect: Connect) -> None:
    toml = deployment.directory / "barkeep.toml"
    toml.write_text("threads = 3\n")
    server = deployment.start()
    server.address()
    assert [worker["threads"] for worker in deployment.status()["workers"]] == [3]
    toml.write_text("threads = 5\nworkers = 2\n")
    assert deployment.command("reload")["code"] == 0
    new = [worker for worker in deployment.status()["workers"] if worker["generation"] == 2]
    assert [worker["threads"] for worker in new] == [5, 5]
    toml.write_text('threads = "many"\n')
    answer = deployment.command("reload")
    assert answer["code"] == 1
    assert "threads must be a whole number" in answer["error"]
    assert server.stop() == 0


def test_reload_adds_and_removes_listeners(deployment: Deployment, connect: Connect) -> None:
    toml = deployment.directory / "barkeep.toml"
    one, two, three = (f"unix:{deployment.directory / name}" for name in ("one", "two", "three"))
    toml.write_text(f'bind = ["{one}", "{two}"]\n')
    server = deployment.run(
        "site_under_test:app", "--control-socket", str(deployment.control), "--settle-time", "0"
    )
    paths = [server.address(), server.address()]
    with Load(paths[0], threads=2) as load:
        toml.write_text(f'bind = ["{one}", "{three}"]\n')
        assert deployment.command("reload")["code"] == 0
        added = server.address()
        assert version_of(connect, added) == "first"
        load.wait_for_more(10)
    assert load.losses == []
    with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
        connect(paths[1])
    assert deployment.status()["listeners"] == [one, three]
    assert server.stop() == 0


def test_listener_that_cannot_be_opened_fails_the_reload_and_those_there_stay(
    deployment: Deployment, connect: Connect
) -> None:
    toml = deployment.directory / "barkeep.toml"
    one = f"unix:{deployment.directory / 'one'}"
    toml.write_text(f'bind = ["{one}"]\n')
    server = deployment.run(
        "site_under_test:app", "--control-socket", str(deployment.control), "--settle-time", "0"
    )
    address = server.address()
    toml.write_text(
        f'bind = ["unix:{deployment.directory}/added", "unix:{deployment.directory}/missing/two"]\n'
    )
    answer = deployment.command("reload")
    assert answer["code"] == 1
    assert "missing/two" in answer["error"]
    assert not (deployment.directory / "added").exists()
    assert version_of(connect, address) == "first"
    assert server.stop() == 0


def test_reload_finds_the_new_release_behind_a_symlink_that_was_switched(
    deployment: Deployment, connect: Connect, cleanup: ExitStack, tmp_path: Path, preload: tuple[str, ...]
) -> None:
    releases = []
    for version in ("first", "second"):
        release = tmp_path / version
        release.mkdir()
        Deployment(release, cleanup).write(good(version))
        releases.append(release)
    current = tmp_path / "current"
    current.symlink_to(releases[0])
    server = deployment.start(*preload, "--chdir", str(current))
    address = server.address()
    assert version_of(connect, address) == "first"
    current.unlink()
    current.symlink_to(releases[1])
    # A clean-up of old releases must not matter either.
    shutil.rmtree(releases[0])
    assert deployment.command("reload")["code"] == 0
    wait_for_version(connect, address, "second")
    assert server.stop() == 0


def test_reload_under_the_name_that_the_shell_knows_finds_the_new_release(
    connect: Connect, cleanup: ExitStack, tmp_path: Path
) -> None:
    for version in ("first", "second"):
        (tmp_path / version).mkdir()
        Deployment(tmp_path / version, cleanup).write(good(version))
    current = tmp_path / "current"
    current.symlink_to("first")
    deployment = Deployment(current, cleanup)
    server = deployment.start("--control-socket", str(tmp_path / "control"), PWD=str(current))
    deployment.control = tmp_path / "control"
    address = server.address()
    assert version_of(connect, address) == "first"
    current.unlink()
    current.symlink_to("second")
    assert deployment.command("reload")["code"] == 0
    wait_for_version(connect, address, "second")
    assert server.stop() == 0


def test_setting_that_only_a_restart_changes_is_told(deployment: Deployment) -> None:
    toml = deployment.directory / "barkeep.toml"
    toml.write_text('name = "shop"\n')
    server = deployment.start()
    server.address()
    toml.write_text('name = "store"\n')
    assert deployment.command("reload")["code"] == 0
    server.wait_for_log("name is changed by a restart or an upgrade, not by a reload")
    assert deployment.status()["name"] == "shop"
    assert server.stop() == 0


def test_workers_that_were_scaled_by_hand_stay_so_after_a_reload(deployment: Deployment, gate: Gate) -> None:
    server = deployment.start(GATE=gate.path)
    server.address()
    assert deployment.command("scale", workers=2)["code"] == 0
    deployment.write(SLOW_TO_LOAD + good("second"))
    with ThreadPoolExecutor(1) as pool:
        reload = pool.submit(deployment.command, "reload")
        gate.wait_for(2)
        assert deployment.command("scale", workers=3)["code"] == 0
        gate.close()
        assert reload.result()["code"] == 0
    assert deployment.status()["workers_wanted"] == 3
    assert server.stop() == 0


def test_stop_during_a_reload_ends_both_generations(
    deployment: Deployment, gate: Gate, preload: tuple[str, ...]
) -> None:
    server = deployment.start(*preload, GATE=gate.path)
    server.address()
    deployment.write(SLOW_TO_LOAD + good("never"))
    server.send(signal.SIGHUP)
    gate.wait_for(1)
    assert server.stop() == 0


def test_with_reload_an_edit_is_loaded_and_a_slip_keeps_the_last_good_version(
    deployment: Deployment, connect: Connect
) -> None:
    pytest.importorskip("watchfiles")
    server = deployment.start("--reload")
    address = server.address()
    # An edit before somebody watches would not be seen.
    wait_until(lambda: any(is_watching(pid) for pid in server.workers()))
    deployment.write(good("second"))
    assert "site_under_test.py" in server.wait_for_log("changed: ")
    server.wait_for_log("generation 2 serves")
    wait_for_version(connect, address, "second")
    deployment.write("1 / 0")
    server.wait_for_log("reload failed, nothing has changed")
    server.wait_for_log("ZeroDivisionError")
    assert version_of(connect, address) == "second"
    deployment.write(good("third"))
    server.wait_for_log("serves")
    wait_for_version(connect, address, "third")
    assert server.stop() == 0
