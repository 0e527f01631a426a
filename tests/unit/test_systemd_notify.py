"""systemd_notify.py: what the manager hears (here a socket of the test), and that it can never hold us up."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from barkeep.systemd_notify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify"))
        bound.settimeout(10)
        yield bound


@pytest.fixture
def notifier(manager: socket.socket) -> Iterator[Notifier]:
    made = Notifier(manager.getsockname())
    yield made
    made.close()


def test_ready_names_the_main_process(manager: socket.socket, notifier: Notifier) -> None:
    assert notifier.ready(4711)
    assert manager.recv(1000) == b"READY=1\nMAINPID=4711"


def test_reloading_has_the_monotonic_time_in_microseconds(manager: socket.socket, notifier: Notifier) -> None:
    notifier.reloading(now_ns=1_234_567_890)
    assert manager.recv(1000) == b"RELOADING=1\nMONOTONIC_USEC=1234567"


def test_other_messages_are_one_assignment_each(manager: socket.socket, notifier: Notifier) -> None:
    notifier.stopping()
    notifier.main_pid(9)
    notifier.watchdog()
    assert [manager.recv(1000) for _ in range(3)] == [b"STOPPING=1", b"MAINPID=9", b"WATCHDOG=1"]


def test_status_is_one_line_and_cannot_carry_another_assignment(
    manager: socket.socket, notifier: Notifier
) -> None:
    notifier.status("generation 8 failed:\nMAINPID=1\n" + "x" * 500)
    received = manager.recv(1000)
    assert received.startswith(b"STATUS=generation 8 failed: MAINPID=1 xxx")
    assert len(received) == len("STATUS=") + 200


def test_environment_is_read_and_taken_away_from_children(manager: socket.socket) -> None:
    environ = {
        "NOTIFY_SOCKET": manager.getsockname(),
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": str(os.getpid()),
        "HOME": "/",
    }
    notifier = Notifier.from_environ(environ)
    assert environ == {"HOME": "/"}
    assert notifier.watchdog_interval_s == 15.0
    assert notifier.watchdog()
    assert manager.recv(1000) == b"WATCHDOG=1"
    assert notifier.environment() == {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "30000000"}
    notifier.close()


@pytest.mark.parametrize(
    "watchdog",
    [{}, {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "-1"}, {"WATCHDOG_USEC": ""}],
)
def test_watchdog_of_nobody_or_of_another_process_is_not_fed(
    watchdog: dict[str, str], manager: socket.socket
) -> None:
    notifier = Notifier.from_environ({"NOTIFY_SOCKET": manager.getsockname(), **watchdog})
    assert notifier.watchdog_interval_s is None
    notifier.close()


def test_abstract_socket_is_reached() -> None:
    name = f"barkeep-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        manager.settimeout(10)
        notifier = Notifier.from_environ({"NOTIFY_SOCKET": f"@{name}"})
        assert notifier.stopping()
        assert manager.recv(1000) == b"STOPPING=1"
        notifier.close()


@pytest.mark.parametrize("path", ["", "@", "relative/notify", "vsock:2:1234"])
def test_without_a_socket_nothing_happens(path: str) -> None:
    notifier = Notifier.from_environ({"NOTIFY_SOCKET": path})
    assert notifier.ready(1)
    assert notifier.environment() == {}
    assert notifier.watchdog_interval_s is None


def test_manager_that_has_gone_is_no_error(tmp_path: Path) -> None:
    notifier = Notifier(str(tmp_path / "nobody"))
    assert notifier.ready(1)
    notifier.close()
    assert notifier.ready(1)


def test_full_queue_of_the_manager_is_told_and_does_not_block(notifier: Notifier) -> None:
    sent = 0
    while notifier.watchdog():
        sent += 1
        # The kernel queues net.unix.max_dgram_qlen of them, ten at first.
        assert sent < 100_000
    assert not notifier.ready(1)
