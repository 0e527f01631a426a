"""watch.py: each step of the ladder comes when it is due, and only for the thread it is meant for."""

from __future__ import annotations

import threading
from typing import cast

import pytest

from barkeep import watch
from barkeep.errors import RequestTimeout
from barkeep.watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from barkeep._engine import Engine


class FakeEngine:
    """Has threads by ident, each with the serial it runs, and remembers what is done to them."""

    def __init__(self, running: dict[int, int]) -> None:
        self.running = running
        self.events: list[tuple[str, int, int, str, int, int]] = []
        self.lines: list[tuple[str, str]] = []
        self.raised: list[tuple[int, int, type[BaseException]]] = []
        self.quarantined: list[tuple[int, int]] = []

    def events_fileno(self) -> int:
        return 7

    def take_events(self) -> list[tuple[str, int, int, str, int, int]]:
        events, self.events = self.events, []
        return events

    def is_running(self, ident: int, serial: int) -> bool:
        return self.running.get(ident) == serial

    def raise_in_thread(self, ident: int, serial: int, exception: type[BaseException]) -> bool:
        self.raised.append((ident, serial, exception))
        return self.is_running(ident, serial)

    def quarantine(self, ident: int, serial: int) -> bool:
        self.quarantined.append((ident, serial))
        return self.is_running(ident, serial)

    def log(self, level: str, text: str) -> None:
        self.lines.append((level, text))


class Clock:
    """time.monotonic() of the watch."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(watch, "time", made)
    return made


class Ladder:
    """A watch over a fake engine; `replaced` are the threads it gave up."""

    def __init__(self, running: dict[int, int], max_stuck_threads: int = 4) -> None:
        self.engine = FakeEngine(running)
        self.replaced: list[int] = []
        self.too_many = 0
        self.heard: list[tuple[str, float]] = []
        self.watch = Watch(
            cast("Engine", self.engine),
            timeout_grace_s=5.0,
            max_stuck_threads=max_stuck_threads,
            replace_thread=self.replace,
            on_too_many_stuck=self.count,
            on_timed_out=lambda request, age_s, _ident, _stack: self.heard.append((request, age_s)),
        )

    def replace(self, ident: int) -> int:
        self.replaced.append(ident)
        return len(self.replaced)

    def count(self) -> None:
        self.too_many += 1

    def time_out(self, ident: int, serial: int) -> None:
        self.engine.events.append(("timed_out", ident, serial, f"GET /{ident}", 1000, 1))
        self.watch.look()


def test_thread_is_told_once_and_given_up_after_the_grace(clock: Clock) -> None:
    ladder = Ladder({1: 9})
    assert ladder.watch.next_look_s() is None
    ladder.time_out(1, 9)
    assert ladder.engine.raised == [(1, 9, RequestTimeout)]
    assert ladder.heard == [("GET /1", 1.0)]
    assert ladder.watch.next_look_s() == 5.0
    clock.now_s += 4.9
    ladder.watch.look()
    assert ladder.replaced == []
    clock.now_s += 0.1
    ladder.watch.look()
    assert (ladder.replaced, ladder.engine.raised) == ([1], [(1, 9, RequestTimeout)])
    assert ladder.watch.next_look_s() is None


def test_thread_that_comes_back_within_the_grace_is_kept(clock: Clock) -> None:
    ladder = Ladder({1: 9})
    ladder.time_out(1, 9)
    ladder.engine.running[1] = 10
    clock.now_s += 10
    ladder.watch.look()
    assert (ladder.replaced, ladder.engine.quarantined) == ([], [])


def test_thread_that_was_back_before_is_left_alone(clock: Clock) -> None:
    ladder = Ladder({1: 10})
    ladder.time_out(1, 9)
    assert ladder.engine.raised == []
    assert ladder.watch.next_look_s() is None
    assert [level for level, _text in ladder.engine.lines] == ["info"]


def test_log_has_the_stack_of_the_thread(clock: Clock) -> None:
    ident = threading.get_ident()
    ladder = Ladder({ident: 1})
    ladder.time_out(ident, 1)
    ((level, text),) = ladder.engine.lines
    assert level == "error"
    assert text.startswith(f"GET /{ident} timed out after 1000 ms; thread MainThread is here:\n")
    assert "test_log_has_the_stack_of_the_thread" in text


def test_bound_is_told_once_and_no_thread_is_replaced_after_it(clock: Clock) -> None:
    ladder = Ladder({1: 1, 2: 1, 3: 1}, max_stuck_threads=2)
    for ident in (1, 2, 3):
        ladder.time_out(ident, 1)
    clock.now_s += 5
    ladder.watch.look()
    assert ladder.replaced == [1, 2]
    assert ladder.too_many == 1


def test_thread_that_cannot_be_replaced_is_told(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = Ladder({1: 1})
    ladder.time_out(1, 1)

    def fail(_ident: int) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ladder.watch, "_replace_thread", fail)
    clock.now_s += 5
    ladder.watch.look()
    assert ladder.engine.lines[-1] == (
        "error",
        "thread 1 is stuck and cannot be replaced: can't start new thread",
    )


def test_descriptor_is_the_engine_s(clock: Clock) -> None:
    assert Ladder({}).watch.fileno() == 7
