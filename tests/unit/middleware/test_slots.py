"""Slots: so many at once, a bounded queue in order, and nobody lost in the moment in which a wait ends."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

import pytest

from barkeep.middleware import slots as slots_module
from barkeep.middleware.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT_S = 20.0


class Entering(threading.Thread):
    """A thread that enters; `found` is what it was told."""

    def __init__(self, slots: Slots, key: str = "a") -> None:
        super().__init__(daemon=True)
        self._slots = slots
        self._key = key
        self.found: bool | None = None
        self.start()

    def run(self) -> None:
        self.found = self._slots.enter(self._key)

    def result(self) -> bool | None:
        self.join(WAIT_S)
        return self.found


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> Callable[[Slots], None]:
    """A function that returns when one more thread waits."""
    made: queue.SimpleQueue[None] = queue.SimpleQueue()

    class Waiting(slots_module._Waiting):
        def __init__(self) -> None:
            super().__init__()
            made.put(None)

    def wait_for_one(slots: Slots) -> None:
        made.get(timeout=WAIT_S)
        # It is made with the lock held, and stands in the queue when the lock is free again.
        with slots._lock:
            pass

    monkeypatch.setattr(slots_module, "_Waiting", Waiting)
    return wait_for_one


def test_more_than_the_concurrency_are_refused_without_a_queue() -> None:
    slots = Slots(2, queue=0, wait_s=WAIT_S)
    assert [slots.enter("a") for _ in range(3)] == [True, True, False]
    slots.leave("a")
    assert slots.enter("a")


def test_keys_have_slots_of_their_own_and_are_forgotten_when_nobody_is_inside() -> None:
    slots = Slots(1, queue=0, wait_s=0)
    assert slots.enter("a")
    assert slots.enter("b")
    assert len(slots) == 2
    slots.leave("a")
    slots.leave("b")
    assert len(slots) == 0


def test_who_waits_gets_the_slot_in_the_order_of_coming(queued: Callable[[Slots], None]) -> None:
    slots = Slots(1, queue=2, wait_s=WAIT_S)
    assert slots.enter("a")
    first = Entering(slots)
    queued(slots)
    second = Entering(slots)
    queued(slots)
    assert not slots.enter("a")
    slots.leave("a")
    assert first.result()
    assert second.is_alive()
    slots.leave("a")
    assert second.result()
    slots.leave("a")
    assert len(slots) == 0


def test_a_wait_ends_and_leaves_no_place_taken() -> None:
    slots = Slots(1, queue=1, wait_s=0.01)
    assert slots.enter("a")
    assert not slots.enter("a")
    assert not slots.enter("a")
    slots.leave("a")
    assert len(slots) == 0


def test_never_more_inside_than_the_concurrency() -> None:
    slots = Slots(3, queue=100, wait_s=WAIT_S)
    lock = threading.Lock()
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            assert slots.enter("a")
            with lock:
                inside += 1
                most = max(most, inside)
            with lock:
                inside -= 1
            slots.leave("a")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert 1 <= most <= 3
    assert len(slots) == 0


def test_a_wait_that_is_broken_off_gives_back_a_slot_that_came_in_that_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slots = Slots(1, queue=1, wait_s=WAIT_S)

    class Broken(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            slots.leave("a")
            raise TimeoutError

    assert slots.enter("a")
    monkeypatch.setattr("barkeep.middleware.slots.threading.Event", Broken)
    with pytest.raises(TimeoutError):
        slots.enter("a")
    assert len(slots) == 0
