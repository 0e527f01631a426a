"""Reload from outside: the new generation serves before the old one goes, or nothing changes at all."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.deployments import Deployment, good
from tests.behaviour.load import Load

if TYPE_CHECKING:
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


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["plain", "preload"])
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
