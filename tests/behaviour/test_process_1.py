"""In a container: as process 1 it has the duties of one, and the container lives as long as it does."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.deployments import Deployment, good
from tests.behaviour.processes import ServerProcess, children_of, wait_until
from tests.behaviour.test_crashes import WITH_GRANDCHILD

if TYPE_CHECKING:
    from tests.behaviour.gates import Gate
    from tests.behaviour.kinds import Connect

# A PID namespace with a /proc of its own, as a container is.
UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")

pytestmark = pytest.mark.skipif(
    os.system(f"{' '.join(UNSHARE)} true 2>/dev/null") != 0, reason="no PID namespace is allowed here"
)


def process_1_of(server: ServerProcess) -> int:
    """Its process id as the test sees it: `unshare` is its parent."""
    (process_1,) = server.workers()
    return process_1


def test_as_process_1_it_reaps_and_obeys_signals(
    deployment: Deployment, connect: Connect, gate: Gate
) -> None:
    deployment.write(WITH_GRANDCHILD)
    server = deployment.start("--pid-file", "pid", before=UNSHARE, GATE=gate.path)
    address = server.address()
    assert (deployment.directory / "pid").read_text() == "1\n"
    assert connect(address).ask().body == b"left one"
    gate.wait_for(1)
    gate.close()
    process_1 = process_1_of(server)
    wait_until(lambda: len(children_of(process_1)) == 1)
    os.kill(process_1, signal.SIGTERM)
    assert server.wait() == 0


def test_process_1_stays_after_an_upgrade_and_passes_signals_and_exit_code_on(
    deployment: Deployment, connect: Connect
) -> None:
    server = deployment.start("--pid-file", "pid", before=UNSHARE)
    address = server.address()
    process_1 = process_1_of(server)
    deployment.write(good("second"))
    answer = deployment.command("upgrade")
    assert (answer["code"], answer["error"]) == (0, "")
    # All that is left of it is the new supervisor.
    wait_until(lambda: len(children_of(process_1)) == 1)
    assert (deployment.directory / "pid").read_text() == f"{answer['data']['pid']}\n"
    assert connect(address).ask().body.startswith(b"second ")
    os.kill(process_1, signal.SIGHUP)
    server.wait_for_log("SIGHUP: loading a new generation")
    server.wait_for_log("generation 2 serves")
    os.kill(process_1, signal.SIGTERM)
    assert server.wait() == 0
