"""Step 5 of 6 from outside - C code keeps the GIL: the supervisor ends the worker, another takes over."""

from __future__ import annotations

import signal

import pytest

from tests.behaviour.gil import needs_gil

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tests.behaviour.gates import Gate
    from tests.behaviour.kinds import Connect, Spawn


@needs_gil
def test_worker_in_which_python_stands_still_is_replaced_and_the_log_has_its_stack(
    spawn: Spawn, connect: Connect, gate: Gate
) -> None:
    server = spawn("--timeout", "300ms")
    address = server.address()
    stuck = connect(address)
    stuck.get("/hang/gil")
    gate.wait_for(1)
    assert stuck.answer().status == 504
    (pid,) = server.workers()
    assert f"pid {pid}," in server.wait_for_log("is killed: Python does not run in it any more")
    server.wait_for_log("in hang")
    server.wait_for_log("has ended: killed by SIGKILL")
    assert connect(address).ask().status == 200
    assert server.stop() == 1


@needs_gil
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_worker_that_stands_still_while_it_drains_does_not_hold_up_the_stop(
    spawn: Spawn, connect: Connect, gate: Gate, stop: signal.Signals
) -> None:
    server = spawn("--timeout", "300ms", "--graceful-timeout", "1h")
    stuck = connect(server.address())
    stuck.get("/hang/gil")
    gate.wait_for(1)
    server.send(stop)
    assert stuck.answer().status == 504
    server.wait_for_log("is killed: Python does not run in it any more")
    assert server.wait() == 1
