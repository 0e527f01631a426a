"""stacks.py: what the fault handler writes is over when nothing has come for a moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import cast

import pytest

from barkeep.loop import Loop
from barkeep.stacks import MOST_BYTES, PATIENCE_S, QUIET_S, StackRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from barkeep.launcher import WorkerProcess


class FakeWorker:
    """Has the pipe of a worker; the test is its fault handler."""

    def __init__(self) -> None:
        self.stacks, self.writer = os.pipe()
        for end in (self.stacks, self.writer):
            os.set_blocking(end, False)
        self.asked = 0

    def ask_for_stacks(self) -> None:
        self.asked += 1

    def write(self, text: bytes) -> None:
        os.write(self.writer, text)


class World:
    def __init__(self) -> None:
        self.now_s = 0.0
        self.loop = Loop(self._fail, lambda: self.now_s)
        self.worker = FakeWorker()
        self.told: list[str] = []

    def request(self) -> None:
        StackRequest(self.loop, cast("WorkerProcess", self.worker), self.told.append)

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        self.loop.turn()

    def _fail(self, error: Exception) -> None:
        raise error


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    os.close(made.worker.stacks)
    os.close(made.worker.writer)


def test_text_is_told_when_it_has_been_quiet_for_a_moment(world: World) -> None:
    world.request()
    assert world.worker.asked == 1
    world.worker.write(b"Thread 1\n")
    world.pass_time(0.0)
    assert world.told == []
    world.worker.write(b"Thread 2\n")
    world.pass_time(QUIET_S / 2)
    world.pass_time(QUIET_S / 2 + 0.001)
    world.pass_time(QUIET_S)
    assert world.told == ["Thread 1\nThread 2\n"]


def test_worker_that_does_not_begin_is_given_up(world: World) -> None:
    world.request()
    world.pass_time(PATIENCE_S)
    assert world.told == [""]


def test_what_an_earlier_request_left_is_not_mixed_in(world: World) -> None:
    world.worker.write(b"old\n")
    world.request()
    world.worker.write(b"new\n")
    world.pass_time(0.0)
    world.pass_time(QUIET_S)
    assert world.told == ["new\n"]


def test_worker_that_writes_for_ever_is_cut_off(world: World) -> None:
    world.request()
    written = 0
    while not world.told:
        world.worker.write(b"x" * 32768)
        written += 32768
        world.pass_time(0.0)
        assert written < MOST_BYTES * 2
    assert len(world.told) == 1


def test_end_of_the_worker_ends_the_request_with_what_there_is(world: World) -> None:
    world.request()
    world.worker.write(b"Thread 1\n")
    world.pass_time(0.0)
    spare = os.dup(world.worker.writer)
    os.close(world.worker.writer)
    os.close(spare)
    world.pass_time(0.0)
    world.worker.writer = os.open(os.devnull, os.O_WRONLY)
    assert world.told == ["Thread 1\n"]
