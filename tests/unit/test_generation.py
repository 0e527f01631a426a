"""generation.py: when workers are told to serve and to drain, and what becomes of those that die."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import cast

import pytest

from barkeep.channel import Channel
from barkeep.generation import KILL_MARGIN_S, Generation
from barkeep.launcher import Launcher, WorkerProcess
from barkeep.loop import Loop
from barkeep.process_log import ProcessLog
from barkeep.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from barkeep.channel import Message
    from barkeep.places import Places

READY_TIMEOUT_S = 60.0


class FakeWorker(WorkerProcess):
    """A worker whose process is the test."""

    def __init__(self, slot: int, place: int, pid: int) -> None:
        ours, self.theirs = Channel.pair()
        super().__init__(slot, place, 1, ours, os.open(os.devnull, os.O_RDONLY))
        self.pid = pid
        self.signals: list[signal.Signals] = []

    def signal(self, number: signal.Signals) -> None:
        self.signals.append(number)

    def heard(self) -> list[object]:
        """Commands that have come since the last look; None at the end when the supervisor has let go."""
        messages = self.theirs.receive()
        return [None] if messages is None else [message["do"] for message in messages]


class FakeLauncher:
    """Makes workers that do nothing; `fails` has it raise."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.generation = 1
        self.launched: list[FakeWorker] = []
        self.fails = False

    def launch(self, slot: int, place: int) -> WorkerProcess:
        if self.fails:
            raise OSError(11, "Resource temporarily unavailable")
        self.launched.append(FakeWorker(slot, place, pid=1000 + len(self.launched)))
        return self.launched[-1]

    def close(self) -> None:
        pass

    def kill(self) -> None:
        pass


class FakePlaces:
    """Counts who has which place."""

    def __init__(self) -> None:
        self.taken: set[int] = set()
        self.requests = ""

    def take(self) -> int:
        place = next(place for place in range(100) if place not in self.taken)
        self.taken.add(place)
        return place

    def give(self, place: int) -> None:
        self.taken.remove(place)

    def tell_requests(self, _worker: WorkerProcess) -> str:
        return self.requests


class World:
    """A generation with time that the test moves; `told` is what it told the supervisor."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.loop = Loop(self._fail, lambda: self.now_s)
        given: dict[str, tuple[object, str]] = {"ready_timeout": (READY_TIMEOUT_S, "test")}
        self.launcher = FakeLauncher(Settings(given))
        self.log_reader, self._log_writer = os.pipe()
        os.set_blocking(self.log_reader, False)
        self.places = FakePlaces()
        self.generation = Generation(
            lambda: cast("Launcher", self.launcher),
            self.loop,
            ProcessLog("info", self._log_writer),
            cast("Places", self.places),
        )
        self.told: list[str] = []
        self.failures: list[Message] = []
        self.generation.on_ready = lambda _generation: self.told.append("ready")
        self.generation.on_failed = self._note_failure
        self.generation.on_gone = lambda _generation: self.told.append("gone")

    def _note_failure(self, _generation: Generation, message: Message) -> None:
        self.told.append("failed")
        self.failures.append(message)

    def _fail(self, error: Exception) -> None:
        raise error

    def turn(self, seconds: float = 0.0) -> None:
        """Let time pass and have everything heard that was said."""
        self.now_s += seconds
        for _ in range(2):
            self.loop.after(0.0, lambda: None)
            self.loop.turn()

    def says(self, worker: FakeWorker, what: str, **more: object) -> None:
        worker.theirs.send({"is": what, "pid": worker.pid, **more})
        self.turn()

    def ends(self, worker: FakeWorker, reason: str = "killed by SIGKILL", *, is_clean: bool = False) -> None:
        worker.theirs.close()
        self.generation.process_has_ended(worker.pid, reason, is_clean)

    def start(self, workers: int, settle_s: float = 0.0) -> list[FakeWorker]:
        self.generation.start(workers, settle_s)
        return self.launcher.launched

    def serve(self, workers: int) -> list[FakeWorker]:
        """A generation that serves."""
        launched = self.start(workers)
        for what in ("loaded", "serving"):
            for worker in list(launched):
                self.says(worker, what)
        assert self.told == ["ready"]
        for worker in launched:
            worker.heard()
        return launched

    def log(self) -> str:
        try:
            return os.read(self.log_reader, 1 << 16).decode()
        except BlockingIOError:
            return ""

    def close(self) -> None:
        for worker in self.launcher.launched:
            worker.theirs.close()
            if worker in self.generation.workers:
                worker.close()
        os.close(self.log_reader)
        os.close(self._log_writer)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def test_nobody_serves_before_all_have_loaded(world: World) -> None:
    one, two = world.start(2)
    world.says(one, "loaded")
    assert one.heard() == []
    world.says(two, "loaded")
    assert (one.heard(), two.heard()) == (["serve"], ["serve"])
    world.says(one, "serving")
    assert world.told == []
    world.says(two, "serving")
    assert world.told == ["ready"]


def test_nobody_serves_before_the_settle_time_is_over(world: World) -> None:
    (worker,) = world.start(1, settle_s=2.0)
    world.says(worker, "loaded")
    world.turn(1.9)
    assert worker.heard() == []
    world.turn(0.2)
    assert worker.heard() == ["serve"]


def test_crash_within_the_settle_time_fails_the_generation_and_ends_the_others(world: World) -> None:
    one, two = world.start(2, settle_s=2.0)
    world.says(one, "loaded")
    world.says(two, "loaded")
    world.ends(one, "exit code 9")
    assert world.told == ["failed"]
    assert "has ended: exit code 9" in str(world.failures[0]["why"])
    assert two.signals == [signal.SIGKILL]
    world.ends(two)
    assert world.told == ["failed", "gone"]
    assert world.places.taken == set()
    # Who asked for it tells why: it is logged once.
    assert world.log() == ""


def test_reason_that_a_worker_gave_is_the_reason_of_the_generation(world: World) -> None:
    (worker,) = world.start(1)
    worker.theirs.send({"is": "failed", "why": "no module", "traceback": "...", "code": 3})
    # Its end is seen before its last words are read.
    world.ends(worker, "exit code 3")
    assert world.failures == [{"is": "failed", "why": "no module", "traceback": "...", "code": 3}]


def test_not_ready_in_time_fails(world: World) -> None:
    (worker,) = world.start(1)
    world.turn(READY_TIMEOUT_S + 0.1)
    assert "not ready within 60 s (--ready-timeout)" in str(world.failures[0]["why"])
    assert worker.signals == [signal.SIGKILL]


def test_worker_that_dies_is_replaced_at_once_and_serves_when_it_has_loaded(world: World) -> None:
    launched = world.serve(2)
    world.places.requests = "GET / from 127.0.0.1, running for 1.0 s"
    world.ends(launched[1])
    world.turn()
    assert [worker.slot for worker in launched] == [0, 1, 1]
    assert "has ended: killed by SIGKILL; it had GET / from" in world.log()
    world.says(launched[2], "loaded")
    assert launched[2].heard() == ["serve"]
    assert world.generation.aborted == 1


def test_workers_that_keep_dying_are_started_with_growing_delays(world: World) -> None:
    launched = world.serve(1)
    for number, delay_s in enumerate((0.0, 0.2, 0.4, 0.8, 1.6)):
        world.ends(launched[-1])
        if delay_s:
            world.turn(delay_s - 0.05)
            assert len(launched) == number + 1
        world.turn(0.06)
        assert len(launched) == number + 2


def test_longest_delay_is_bounded(world: World) -> None:
    launched = world.serve(1)
    for _ in range(40):
        world.ends(launched[-1])
        before = len(launched)
        world.turn(30.1)
        assert len(launched) == before + 1


def test_worker_that_cannot_be_forked_is_tried_again(world: World) -> None:
    launched = world.serve(1)
    world.launcher.fails = True
    world.ends(launched[0])
    world.turn()
    assert "worker 0 cannot be started: Resource temporarily unavailable" in world.log()
    world.launcher.fails = False
    world.turn(1.1)
    assert len(launched) == 2
    assert len(world.places.taken) == 1


def test_replaced_worker_serves_until_the_other_does(world: World) -> None:
    launched = world.serve(1)
    done: list[tuple[int, str]] = []
    world.generation.replace(launched[0], "it is old", lambda pid, why: done.append((pid, why)))
    world.says(launched[1], "loaded")
    assert (launched[0].heard(), done) == ([], [])
    world.says(launched[1], "serving")
    assert launched[0].heard() == ["drain"]
    assert done == [(launched[1].pid, "")]
    world.ends(launched[0], "exit code 0", is_clean=True)
    world.turn(1.0)
    assert len(launched) == 2
    assert world.generation.aborted == 0


def test_replacement_that_dies_leaves_the_old_one_serving(world: World) -> None:
    launched = world.serve(1)
    done: list[tuple[int, str]] = []
    world.generation.replace(launched[0], "it is old", lambda pid, why: done.append((pid, why)))
    world.ends(launched[1], "exit code 3")
    world.turn(60.0)
    assert done == [(0, "the new worker has ended: exit code 3.")]
    assert launched[0].heard() == []
    assert len(launched) == 2
    assert world.generation.in_slot(0) is launched[0]
    # It may be tried again.
    world.generation.replace(launched[0], "it is old")
    assert len(launched) == 3


def test_old_one_that_dies_while_it_is_replaced_is_not_replaced_twice(world: World) -> None:
    launched = world.serve(1)
    world.generation.replace(launched[0], "it is old")
    world.ends(launched[0])
    world.turn(60.0)
    assert len(launched) == 2
    world.says(launched[1], "loaded")
    world.says(launched[1], "serving")
    assert world.generation.in_slot(0) is launched[1]


def test_worker_is_replaced_once_at_a_time(world: World) -> None:
    launched = world.serve(1)
    done: list[str] = []
    world.generation.replace(launched[0], "it is old")
    world.generation.replace(launched[0], "it is old", lambda _pid, why: done.append(why))
    assert done == ["the worker is on its way out already."]
    assert len(launched) == 2


def test_replacement_that_cannot_be_launched_is_told(world: World) -> None:
    launched = world.serve(1)
    world.launcher.fails = True
    done: list[tuple[int, str]] = []
    world.generation.replace(launched[0], "it is old", lambda pid, why: done.append((pid, why)))
    assert done == [(0, "no other worker can be started now; the server's log says why.")]
    world.launcher.fails = False
    world.turn(2.0)
    assert len(launched) == 1


def test_drain_tells_everybody_and_the_last_end_is_told(world: World) -> None:
    one, two = world.serve(2)
    world.generation.drain("the server stops", 30.0)
    assert (one.heard(), two.heard()) == (["drain"], ["drain"])
    world.ends(one, "exit code 0", is_clean=True)
    assert world.told == ["ready"]
    world.ends(two, "exit code 0", is_clean=True)
    assert world.told == ["ready", "gone"]
    assert world.generation.aborted == 0
    world.turn(60.0)
    assert len(world.launcher.launched) == 2


def test_worker_that_does_not_end_in_its_time_is_killed(world: World) -> None:
    (worker,) = world.serve(1)
    world.generation.drain("the server stops", 5.0)
    world.turn(5.0 + KILL_MARGIN_S - 0.1)
    assert worker.signals == []
    world.turn(0.2)
    assert worker.signals == [signal.SIGKILL]


def test_worker_that_still_imports_is_ended_at_once_when_the_server_stops(world: World) -> None:
    launched = world.serve(1)
    world.generation.scale(2)
    world.generation.drain("the server stops", 30.0)
    assert launched[1].signals == [signal.SIGKILL]
    world.ends(launched[1])
    assert world.generation.aborted == 0
    assert "has ended" not in world.log()


def test_scaling_down_drains_the_highest_slots_and_up_fills_them(world: World) -> None:
    launched = world.serve(3)
    world.generation.scale(1)
    assert [worker.heard() for worker in launched] == [[], ["drain"], ["drain"]]
    world.ends(launched[2], "exit code 0", is_clean=True)
    world.turn(1.0)
    assert len(launched) == 3
    world.generation.scale(2)
    assert launched[3].slot == 1


def test_channel_that_a_worker_closes_is_its_end(world: World) -> None:
    (worker,) = world.serve(1)
    worker.theirs.close()
    world.turn()
    assert worker.signals == [signal.SIGKILL]


def test_end_of_a_process_of_nobody_changes_nothing(world: World) -> None:
    world.serve(1)
    world.generation.process_has_ended(99999, "exit code 0", is_clean=True)
    assert len(world.generation.workers) == 1


def test_lame_duck_counts_for_workers_that_come_later(world: World) -> None:
    launched = world.serve(1)
    world.generation.be_lame_duck()
    assert launched[0].heard() == ["lame_duck"]
    world.ends(launched[0])
    world.turn()
    world.says(launched[1], "loaded")
    assert launched[1].heard() == ["serve", "lame_duck"]


def test_worker_whose_end_nobody_tells_has_ended_with_its_channel(world: World) -> None:
    one, two = world.serve(2)
    world.generation.orphan(one)
    one.theirs.close()
    two.theirs.close()
    world.turn()
    assert one not in world.generation.workers
    assert two in world.generation.workers
    world.generation.orphan(two)
    assert two not in world.generation.workers
