"""--hooks from outside: which method is called where and in which order, and that none can hurt serving."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.deployments import Deployment, good

if TYPE_CHECKING:
    from tests.behaviour.kinds import Connect

# Writes a line per call: the name of the hook, the process that it is in, and what it was told.
HOOKS = """
import os

class Hooks:
    def __getattr__(self, name):
        if name not in {names!r}:
            raise AttributeError(name)
        def write(event):
            with open("calls", "a") as file:
                file.write(f"{{name}} {{os.getpid()}} {{sorted(vars(event).items())}}\\n")
            {then}
        return write
"""
NAMES = (
    "starting", "generation_loaded", "worker_started", "worker_ready", "worker_exiting",
    "request_timed_out", "reloaded", "stopping",
)  # fmt: skip


def write_hooks(deployment: Deployment, then: str = "pass") -> None:
    (deployment.directory / "my_hooks.py").write_text(HOOKS.format(names=NAMES, then=then))


def calls_of(deployment: Deployment) -> list[str]:
    return (deployment.directory / "calls").read_text().splitlines()


def names_of(calls: list[str]) -> list[str]:
    return [call.split()[0] for call in calls]


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["plain", "preload"])
def test_hooks_are_called_in_the_order_of_a_life(deployment: Deployment, preload: tuple[str, ...]) -> None:
    write_hooks(deployment)
    server = deployment.start("--hooks", "my_hooks:Hooks", *preload)
    server.address()
    (worker,) = (one["pid"] for one in deployment.status()["workers"])
    assert server.stop() == 0
    calls = calls_of(deployment)
    loading = ["generation_loaded", "worker_started"] if preload else ["worker_started", "generation_loaded"]
    assert names_of(calls) == ["starting", *loading, "worker_ready", "stopping", "worker_exiting"]
    for call in calls:
        name, pid, told = call.split(" ", 2)
        expected = {"starting": server.pid, "stopping": server.pid}.get(name, worker)
        if name != "generation_loaded" or not preload:
            assert int(pid) == expected, call
        if name.startswith("worker_"):
            assert "('slot', 0)" in told
            assert "('generation', 1)" in told
    assert "('reason', 'SIGTERM')" in calls[-2]
    assert "('reason', 'finished')" in calls[-1]


def test_reloads_are_told_good_and_bad(deployment: Deployment) -> None:
    write_hooks(deployment)
    server = deployment.start("--hooks", "my_hooks:Hooks")
    server.address()
    deployment.write("1 / 0")
    deployment.command("reload")
    deployment.write(good("second"))
    deployment.command("reload")
    told = [call for call in calls_of(deployment) if call.startswith("reloaded")]
    assert len(told) == 2
    assert "('is_good', False)" in told[0]
    assert "ZeroDivisionError" in told[0]
    assert "('generation', 3), ('is_good', True), ('reason', '')" in told[1]
    assert server.stop() == 0


def test_request_that_is_timed_out_is_told_with_its_stack(deployment: Deployment, connect: Connect) -> None:
    write_hooks(deployment)
    deployment.write("import time\ndef app(*_):\n    time.sleep(86400)\n")
    server = deployment.start("--hooks", "my_hooks:Hooks", "--timeout", "0.3", "--graceful-timeout", "0")
    assert connect(server.address()).ask("/late").status == 504
    # Of the thread that calls the hook next; the I/O thread has told before.
    server.wait_for_log("; thread barkeep-")
    server.send(signal.SIGQUIT)
    server.wait()
    (call,) = [call for call in calls_of(deployment) if call.startswith("request_timed_out")]
    assert "GET /late" in call
    assert "time.sleep(86400)" in call


@pytest.mark.parametrize("then", ["raise ValueError('in a hook')", "raise SystemExit(5)"])
def test_hook_that_raises_is_told_and_hurts_nobody(
    deployment: Deployment, connect: Connect, then: str
) -> None:
    write_hooks(deployment, then)
    server = deployment.start("--hooks", "my_hooks:Hooks")
    address = server.address()
    assert connect(address).ask().status == 200
    assert deployment.command("reload")["code"] == 0
    assert connect(address).ask().status == 200
    assert server.stop() == 0
    for name in ("starting", "worker_started", "worker_ready", "reloaded", "stopping", "worker_exiting"):
        assert [line for line in server.log if f"the hook {name} raised; serving goes on" in line]


def test_hooks_that_cannot_be_imported_end_the_start(deployment: Deployment) -> None:
    server = deployment.start("--hooks", "no_such_module:Hooks")
    assert server.wait() == 3
    assert "no_such_module" in server.log[-1]


def test_worker_that_is_killed_tells_no_exit(deployment: Deployment) -> None:
    write_hooks(deployment)
    server = deployment.start("--hooks", "my_hooks:Hooks")
    server.address()
    os.kill(server.workers()[0], signal.SIGKILL)
    server.wait_for_log("has ended: killed by SIGKILL")
    assert "worker_exiting" not in names_of(calls_of(deployment))
    assert server.stop() == 1
