"""Who the processes are to the system: user, group, umask, pid file, titles."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.deployments import Deployment
from tests.behaviour.processes import children_of

if TYPE_CHECKING:
    from tests.behaviour.kinds import Connect

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")

# "nobody" by number, which need not be in the user database.
NOBODY = 65534

WHO_AM_I = """
import os

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    os.close(os.open("made", os.O_WRONLY | os.O_CREAT, 0o666))
    return [repr((os.getresuid(), os.getresgid(), os.getgroups())).encode()]
"""


@needs_root
@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["plain", "preload"])
def test_workers_give_up_root_for_good_and_the_supervisor_keeps_it(
    deployment: Deployment, connect: Connect, preload: tuple[str, ...]
) -> None:
    for directory in (deployment.directory, *deployment.directory.parents[:2]):
        directory.chmod(0o777)
    deployment.write(WHO_AM_I)
    server = deployment.start("-u", str(NOBODY), "-g", str(NOBODY), *preload)
    address = server.address()
    told = connect(address).ask().body.decode()
    assert told == repr(((NOBODY,) * 3, (NOBODY,) * 3, [NOBODY]))
    assert os.stat(f"/proc/{server.pid}").st_uid == 0
    # A reload and a replacement still can.
    assert deployment.command("reload")["code"] == 0
    assert deployment.command("recycle", slot=0)["code"] == 0
    assert server.stop() == 0


@needs_root
def test_access_log_belongs_to_the_user_that_must_open_it_again(
    deployment: Deployment, connect: Connect
) -> None:
    for directory in (deployment.directory, *deployment.directory.parents[:2]):
        directory.chmod(0o777)
    server = deployment.start("-u", str(NOBODY), "-g", str(NOBODY), "--access-log", "access")
    assert connect(server.address()).ask().status == 200
    assert os.stat(deployment.directory / "access").st_uid == NOBODY
    assert server.stop() == 0


@needs_root
def test_user_that_does_not_exist_ends_the_start(deployment: Deployment) -> None:
    server = deployment.start("-u", "no-such-user")
    assert server.wait() == 2
    assert 'found "no-such-user"; there is no such user' in server.log[-1]


def test_umask_is_taken_from_files_that_workers_make(deployment: Deployment, connect: Connect) -> None:
    deployment.write(WHO_AM_I)
    server = deployment.start("-m", "027")
    assert connect(server.address()).ask().status == 200
    assert (deployment.directory / "made").stat().st_mode & 0o777 == 0o640
    assert server.stop() == 0


def test_pid_file_is_written_and_removed(deployment: Deployment) -> None:
    server = deployment.start("-p", "pid")
    server.address()
    pid_file = deployment.directory / "pid"
    assert pid_file.read_text() == f"{server.pid}\n"
    assert server.stop() == 0
    assert not pid_file.exists()


def test_pid_file_of_a_dead_server_is_replaced(deployment: Deployment) -> None:
    pid_file = deployment.directory / "pid"
    # Whoever has that number now: the file is nobody's, for nobody holds its lock.
    pid_file.write_text(f"{os.getpid()}\n")
    server = deployment.start("-p", "pid")
    server.address()
    assert pid_file.read_text() == f"{server.pid}\n"
    assert server.stop() == 0


def test_pid_file_of_a_running_server_is_left_to_it(deployment: Deployment) -> None:
    first = deployment.start("-p", "pid")
    first.address()
    second = deployment.run("site_under_test:app", "--bind", "127.0.0.1:0", "-p", "pid")
    assert second.wait() == 2
    assert f"a running server holds it (process {first.pid})" in second.log[-1]
    assert (deployment.directory / "pid").read_text() == f"{first.pid}\n"
    assert first.stop() == 0


def test_pid_file_that_is_a_link_is_refused(deployment: Deployment) -> None:
    precious = deployment.directory / "precious"
    precious.write_text("precious")
    (deployment.directory / "pid").symlink_to(precious)
    server = deployment.start("-p", "pid")
    assert server.wait() == 2
    assert "a symbolic link is there" in server.log[-1]
    assert precious.read_text() == "precious"


def test_pid_file_of_a_server_whose_application_is_broken_is_removed(deployment: Deployment) -> None:
    deployment.write("1 / 0")
    server = deployment.start("-p", "pid")
    assert server.wait() == 3
    assert not (deployment.directory / "pid").exists()


def test_processes_are_named(deployment: Deployment) -> None:
    server = deployment.start("-n", "shop", "--preload")
    server.address()
    (zygote,) = server.workers()
    (worker,) = children_of(zygote)

    def title_of(pid: int) -> str:
        # The kernel keeps 15 bytes; with the title extra the whole stands in cmdline.
        return Path(f"/proc/{pid}/comm").read_text().strip()

    assert [title_of(pid) for pid in (server.pid, zygote, worker)] == [
        "barkeep: superv",
        "barkeep: zygote",
        "barkeep: worker",
    ]
    assert deployment.status()["name"] == "shop"
    assert server.stop() == 0


def test_supervisor_stays_small(deployment: Deployment) -> None:
    deployment.write("import decimal, email.message, http.client, json, logging\n" + WHO_AM_I)
    server = deployment.start()
    server.address()
    deployment.command("reload")
    assert deployment.command("status")["code"] == 0
    rollup = Path(f"/proc/{server.pid}/smaps_rollup").read_text()
    (pss_kib,) = (int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    assert pss_kib < 25 * 1024
    maps = Path(f"/proc/{server.pid}/maps").read_text()
    # It has never imported the application: nothing that only the application needs is there.
    assert "_decimal" not in maps
    assert server.stop() == 0


def test_usr1_has_the_access_log_opened_again(deployment: Deployment, connect: Connect) -> None:
    server = deployment.start("--workers", "2", "--access-log", "access")
    address = server.address()
    assert connect(address).ask("/before", "Connection: close").status == 200
    log = deployment.directory / "access"
    log.rename(deployment.directory / "rotated")
    server.send(signal.SIGUSR1)
    while not log.exists():
        os.sched_yield()
    # Each worker has its own descriptor: all open the new file.
    seen = 0
    while not log.read_text().count("/after") >= 20:
        assert connect(address).ask("/after", "Connection: close").status == 200
        seen += 1
        assert seen < 2000
    assert server.stop() == 0
    # A line that is on its way when the log is opened again may come to either file, but to one.
    both = log.read_text() + (deployment.directory / "rotated").read_text()
    assert (both.count("/before"), both.count("/after")) == (1, seen)


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["plain", "preload"])
def test_slot_of_a_worker_stays_when_it_is_replaced_and_is_in_the_environ(
    deployment: Deployment, connect: Connect, preload: tuple[str, ...]
) -> None:
    deployment.write(
        "import barkeep\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [repr((environ['barkeep.worker_slot'], barkeep.worker_slot())).encode()]\n"
    )
    server = deployment.start("--workers", "2", *preload)
    address = server.address()
    seen: set[bytes] = set()
    for slot in (0, 1):
        assert deployment.command("recycle", slot=slot)["code"] == 0
    while len(seen) < 2:
        seen.add(connect(address).ask("/", "Connection: close").body)
    assert seen == {b"(0, 0)", b"(1, 1)"}
    assert server.stop() == 0


if sys.platform == "linux":  # macOS ties no process to a CPU

    def test_workers_auto_is_one_per_usable_cpu(deployment: Deployment) -> None:
        usable = len(os.sched_getaffinity(0))
        server = deployment.start("--workers", "auto")
        assert "workers: " in server.wait_for_log(f"--workers auto would be {usable} here")
        assert len(deployment.status()["workers"]) == usable
        assert server.stop() == 0
        one = min(os.sched_getaffinity(0))
        server = deployment.start("--workers", "auto", before=("taskset", "-c", str(one)))
        assert "workers: 1, " in server.wait_for_log("--workers auto would be 1 here")
        assert server.stop() == 0
