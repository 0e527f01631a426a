"""The commands to a running server, as an operator types them."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from tests.behaviour.clients import CutShortError
from tests.behaviour.deployments import WITH_GATES, Deployment

if TYPE_CHECKING:
    from tests.behaviour.gates import Gate
    from tests.behaviour.kinds import Connect

AT_THE_GATE = f"""
{WITH_GATES}
def app(environ, start_response):
    if environ["PATH_INFO"].startswith("/gate"):
        wait_at(os.environ["GATE"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"let go"]
"""


def test_status_shows_every_worker(deployment: Deployment, connect: Connect) -> None:
    server = deployment.start("--workers", "2", "--threads", "3")
    address = server.address()
    for _ in range(5):
        assert connect(address).ask().status == 200
    shown = deployment.barkeep("status")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "barkeep: serving, generation 1, 2 of 2 workers ready" in shown.stdout
    assert f"pid {server.pid}" in shown.stdout
    assert shown.stdout.count("ready") == 3
    told = json.loads(deployment.barkeep("status", "--json").stdout)
    assert [worker["slot"] for worker in told["workers"]] == [0, 1]
    assert {worker["pid"] for worker in told["workers"]} == set(server.workers())
    assert sum(worker["requests"] for worker in told["workers"]) == 5
    assert {worker["threads"] for worker in told["workers"]} == {3}
    assert server.stop() == 0


@pytest.mark.parametrize("preload", [(), ("--preload",)])
def test_memory_is_that_of_all_processes_not_only_of_the_workers(
    deployment: Deployment, preload: tuple[str, ...]
) -> None:
    server = deployment.start(*preload)
    server.address()
    told = json.loads(deployment.barkeep("status", "--json").stdout)
    others = told["memory_bytes"] - sum(worker["memory_bytes"] for worker in told["workers"])
    # What a supervisor, and a zygote, cannot do without.
    assert others > (2 if preload else 1) * 1024 * 1024
    assert server.stop() == 0


def test_control_socket_is_its_owners_alone(deployment: Deployment) -> None:
    server = deployment.start()
    server.address()
    assert stat.S_IMODE(deployment.control.stat().st_mode) == 0o600
    assert server.stop() == 0
    assert not deployment.control.exists()


def test_requests_are_shown_while_every_thread_is_busy(
    deployment: Deployment, connect: Connect, gate: Gate
) -> None:
    deployment.write(AT_THE_GATE)
    server = deployment.start("--threads", "1", GATE=gate.path)
    address = server.address()
    running = connect(address)
    running.get("/gate?first")
    gate.wait_for(1)
    queued = connect(address)
    queued.get("/queued")
    requests: list[dict[str, Any]] = []
    while len(requests) < 2:
        requests = deployment.command("requests")["data"]["requests"]
    assert [(request["phase"], request["method"]) for request in requests] == [
        ("running", "GET"),
        ("queued", "GET"),
    ]
    assert requests[0]["path"].startswith("/gate")
    assert requests[0]["slot"] == 0
    assert "/gate" in deployment.barkeep("requests").stdout
    gate.open()
    assert running.answer().body == queued.answer().body == b"let go"
    assert server.stop() == 0


def test_stacks_tell_where_a_thread_is(deployment: Deployment, connect: Connect, gate: Gate) -> None:
    deployment.write(AT_THE_GATE)
    server = deployment.start("--workers", "2", GATE=gate.path)
    client = connect(server.address())
    client.get("/gate")
    gate.wait_for(1)
    shown = deployment.barkeep("stacks").stdout
    assert "in wait_at" in shown
    stacks = deployment.command("stacks", slot=1)["data"]["stacks"]
    assert [stack["slot"] for stack in stacks] == [1]
    assert "most recent call first" in stacks[0]["text"]
    gate.open()
    assert client.answer().status == 200
    assert server.stop() == 0


def test_killed_request_is_ended_and_its_neighbours_are_not(
    deployment: Deployment, connect: Connect, gate: Gate
) -> None:
    deployment.write(AT_THE_GATE)
    server = deployment.start("--threads", "2", GATE=gate.path)
    address = server.address()
    killed, other = connect(address), connect(address)
    killed.get("/gate/killed")
    gate.wait_for(1)
    other.get("/gate/other")
    gate.wait_for(2)
    requests = deployment.command("requests")["data"]["requests"]
    (identifier,) = (request["id"] for request in requests if request["path"] == "/gate/killed")
    assert deployment.barkeep("kill-request", identifier).returncode == 0
    assert killed.answer().status in (503, 504)
    gate.open()
    assert other.answer().body == b"let go"
    assert deployment.barkeep("kill-request", identifier).returncode == 1
    assert server.stop() == 0


def test_scale_up_and_down(deployment: Deployment, connect: Connect) -> None:
    server = deployment.start()
    address = server.address()
    assert deployment.barkeep("scale", "3").returncode == 0
    while [worker["state"] for worker in deployment.status()["workers"]] != ["ready"] * 3:
        pass
    assert deployment.barkeep("scale", "1").returncode == 0
    while len(deployment.status()["workers"]) > 1:
        pass
    assert [worker["slot"] for worker in deployment.status()["workers"]] == [0]
    assert connect(address).ask().status == 200
    assert deployment.barkeep("scale", "0").returncode == 2
    assert server.stop() == 0


def test_stop_command_waits_for_the_end_and_tells_what_was_aborted(
    deployment: Deployment, connect: Connect, gate: Gate
) -> None:
    server = deployment.start()
    server.address()
    assert deployment.barkeep("stop").returncode == 0
    assert server.wait() == 0
    deployment.write(AT_THE_GATE)
    server = deployment.start("--graceful-timeout", "0.1", GATE=gate.path)
    client = connect(server.address())
    client.get("/gate")
    gate.wait_for(1)
    assert deployment.barkeep("stop").returncode == 1
    with pytest.raises(CutShortError):
        client.answer()
    assert server.wait() == 1


def test_reopen_logs_opens_the_access_log_again(deployment: Deployment, connect: Connect) -> None:
    server = deployment.start("--access-log", "access")
    address = server.address()
    log = deployment.directory / "access"
    log.rename(deployment.directory / "rotated")
    assert deployment.barkeep("reopen-logs").returncode == 0
    while not log.exists():
        os.sched_yield()
    assert connect(address).ask("/after").status == 200
    assert server.stop() == 0
    assert "/after" in log.read_text()


def test_command_without_a_server_says_where_it_looked(deployment: Deployment) -> None:
    answer = deployment.barkeep("status")
    assert answer.returncode == 1
    assert f"no server answers at {deployment.control}" in answer.stderr


def test_unknown_command_on_the_socket_is_answered(deployment: Deployment) -> None:
    server = deployment.start()
    server.address()
    answer = deployment.command("explode")
    assert answer["code"] == 2
    assert "there is no command 'explode'" in answer["error"]
    assert server.stop() == 0
