"""Step 5 from outside - a Python without a GIL: the engine leaves it so, and requests compute at once."""

from __future__ import annotations

from tests.behaviour.gil import needs_free_threading
from tests.behaviour.kinds import Connect, Spawn


@needs_free_threading
def test_requests_of_one_worker_compute_at_the_same_moment(spawn: Spawn, connect: Connect) -> None:
    process = spawn("--threads", "2")
    address = process.address()
    clients = [connect(address) for _ in range(2)]
    for client in clients:
        client.get("/meet/2")
    assert [client.answer().body for client in clients] == [b"no GIL"] * 2
    assert process.stop() == 0


@needs_free_threading
def test_request_whose_thread_computes_on_is_timed_out_with_its_stack(spawn: Spawn, connect: Connect) -> None:
    process = spawn("--threads", "2", "--timeout", "300ms")
    address = process.address()
    stuck = [connect(address) for _ in range(2)]
    for client in stuck:
        client.get("/hang/loop")
    assert [client.answer().status for client in stuck] == [504, 504]
    for _ in stuck:
        process.wait_for_log(", in hang")
    # RequestTimeout has ended both loops.
    assert connect(address).ask("/").body == b"hello"
    assert process.stop() == 0
