"""Under systemd: Type=notify-reload hears of readiness, reloads, the end, the watchdog (sd_notify(3))."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.deployments import Deployment, good
from tests.behaviour.service_manager import ServiceManager

if TYPE_CHECKING:
    from tests.behaviour.kinds import Connect


@pytest.fixture
def manager(cleanup: ExitStack, tmp_path: Path) -> ServiceManager:
    """Listens at a path of its own."""
    return cleanup.enter_context(closing(ServiceManager(tmp_path / "notify")))


def test_ready_is_told_when_the_workers_serve_and_stopping_at_the_end(
    deployment: Deployment, manager: ServiceManager, connect: Connect
) -> None:
    server = deployment.start(NOTIFY_SOCKET=manager.path)
    ready = manager.wait_for("READY")
    assert ready == {"READY": "1", "MAINPID": str(server.pid)}
    assert len(manager.heard) == 1
    assert connect(server.address()).ask().status == 200
    assert manager.wait_for("STATUS")["STATUS"] == "generation 1 serves"
    assert server.stop() == 0
    assert manager.wait_for("STOPPING") == {"STOPPING": "1"}


def test_ready_is_never_told_when_the_application_cannot_be_loaded(
    deployment: Deployment, manager: ServiceManager
) -> None:
    deployment.write("1 / 0")
    server = deployment.start(NOTIFY_SOCKET=manager.path)
    assert server.wait() == 3
    manager.close()
    assert manager.heard == []


def test_reload_is_told_from_its_beginning_to_its_end(
    deployment: Deployment, manager: ServiceManager
) -> None:
    server = deployment.start(NOTIFY_SOCKET=manager.path)
    manager.wait_for("READY")
    before_us = time.monotonic_ns() // 1000
    server.send(signal.SIGHUP)
    reloading = manager.wait_for("RELOADING", "1")
    assert before_us <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert manager.wait_for("READY") == {"READY": "1", "MAINPID": str(server.pid)}
    assert manager.wait_for("STATUS")["STATUS"] == "generation 2 serves"
    assert server.stop() == 0


def test_failed_reload_is_ready_again_and_the_status_says_why(
    deployment: Deployment, manager: ServiceManager
) -> None:
    server = deployment.start(NOTIFY_SOCKET=manager.path)
    manager.wait_for("STATUS")
    deployment.write("1 / 0")
    server.send(signal.SIGHUP)
    manager.wait_for("RELOADING", "1")
    manager.wait_for("READY", "1")
    status = manager.wait_for("STATUS")["STATUS"]
    assert status.startswith("generation 1 serves; the last reload failed: ")
    assert "ZeroDivisionError" in status
    assert server.stop() == 0


def test_watchdog_is_fed_while_the_workers_are_well(deployment: Deployment, manager: ServiceManager) -> None:
    server = deployment.start(NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="100000")
    manager.wait_for("READY")
    for _ in range(3):
        assert manager.wait_for("WATCHDOG") == {"WATCHDOG": "1"}
    assert server.stop() == 0


def test_application_and_its_environment_know_nothing_of_the_service_manager(
    deployment: Deployment, manager: ServiceManager, connect: Connect
) -> None:
    deployment.write(
        "import os\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    names = ('NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID', '_BARKEEP_UPGRADE')\n"
        "    return [repr([name for name in names if name in os.environ]).encode()]\n"
    )
    server = deployment.start(NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="100000")
    assert connect(server.address()).ask().body == b"[]"
    assert server.stop() == 0


def test_upgrade_tells_the_new_main_process(deployment: Deployment, manager: ServiceManager) -> None:
    server = deployment.start(NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="100000")
    manager.wait_for("READY")
    deployment.write(good("second"))
    pid = deployment.command("upgrade")["data"]["pid"]
    # The old one says so, for it is the one that systemd believes.
    assert manager.wait_for("MAINPID", str(pid)) == {"MAINPID": str(pid)}
    assert manager.wait_for("READY") == {"READY": "1", "MAINPID": str(pid)}
    manager.wait_for("WATCHDOG")
    assert server.wait_unread() == 0
    assert not [message for message in manager.heard if "STOPPING" in message]
    os.kill(pid, signal.SIGTERM)
    manager.wait_for("STOPPING")
