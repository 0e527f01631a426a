"""Workers that have had enough are replaced one at a time, and no request notices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.behaviour.deployments import Deployment, good
from tests.behaviour.load import Load

if TYPE_CHECKING:
    from tests.behaviour.kinds import Connect


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["plain", "preload"])
def test_max_requests_replaces_workers_under_load_without_a_loss(
    deployment: Deployment, preload: tuple[str, ...]
) -> None:
    server = deployment.start("--workers", "2", "--max-requests", "50", *preload)
    address = server.address()
    with Load(address) as load:
        for _ in range(3):
            assert "requests (--max-requests)" in server.wait_for_log("is replaced: ")
            server.wait_for_log("draining")
        load.wait_for_more(20)
    assert load.losses == []
    assert len({body.split()[1] for body in load.bodies}) > 3
    assert server.stop() == 0


def test_never_more_than_one_worker_is_replaced_at_a_time(deployment: Deployment, connect: Connect) -> None:
    server = deployment.start("--workers", "3", "--max-lifetime", "0.5")
    server.address()
    for _ in range(3):
        assert "s old (--max-lifetime)" in server.wait_for_log("is replaced: ")
        server.wait_for_log("draining")
    assert server.stop() == 0
    events = [line for line in server.log if "is replaced: " in line or "draining" in line]
    before_stop = events[: 2 * 3]
    assert ["replaced" in line for line in before_stop] == [True, False] * 3, server.log


def test_recycle_command_returns_when_the_new_worker_serves(deployment: Deployment, connect: Connect) -> None:
    server = deployment.start("--workers", "2")
    address = server.address()
    before = {worker["slot"]: worker["pid"] for worker in deployment.status()["workers"]}
    with Load(address) as load:
        answer = deployment.command("recycle", slot=1)
        assert (answer["code"], answer["error"]) == (0, "")
        load.wait_for(f"first {answer['data']['pid']}")
    assert load.losses == []
    after = {
        worker["slot"]: worker["pid"]
        for worker in deployment.status()["workers"]
        if worker["state"] == "ready"
    }
    assert after == {0: before[0], 1: answer["data"]["pid"]}
    assert server.stop() == 0


def test_recycle_that_fails_keeps_the_worker_and_says_why(deployment: Deployment, connect: Connect) -> None:
    server = deployment.start()
    address = server.address()
    deployment.write("1 / 0")
    answer = deployment.command("recycle", slot=0)
    assert answer["code"] == 1
    assert "the new worker has ended" in answer["error"]
    assert connect(address).ask().body.startswith(b"first ")
    deployment.write(good("first"))
    assert deployment.command("recycle", slot=0)["code"] == 0
    assert server.stop() == 0


def test_slot_that_is_not_there_cannot_be_recycled(deployment: Deployment) -> None:
    server = deployment.start()
    server.address()
    answer = deployment.command("recycle", slot=7)
    assert (answer["code"], answer["error"]) == (1, "no worker serves in slot 7.")
    assert server.stop() == 0
