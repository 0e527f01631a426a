"""loop.py: descriptors and moments are called in order, and nothing that is called can end the loop."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

import pytest

from barkeep.loop import Loop, Timer


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class World:
    """A loop with a clock that the test moves."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.faults: list[Exception] = []
        self.loop = Loop(self.faults.append, self.clock)
        self.called: list[str] = []

    def note(self, name: str) -> None:
        self.called.append(name)

    def pass_time(self, seconds: float) -> None:
        self.clock.now_s += seconds
        self.loop.turn()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def test_moments_are_called_in_their_order_and_once(world: World) -> None:
    world.loop.after(2.0, lambda: world.note("later"))
    world.loop.after(1.0, lambda: world.note("sooner"))
    world.pass_time(1.0)
    assert world.called == ["sooner"]
    world.pass_time(1.0)
    assert world.called == ["sooner", "later"]


def test_moments_that_are_due_together_keep_the_order_in_which_they_were_asked_for(world: World) -> None:
    for name in "abc":
        world.loop.after(1.0, lambda name=name: world.note(name))  # type: ignore[misc]
    world.pass_time(5.0)
    assert world.called == ["a", "b", "c"]


def test_cancelled_moment_is_never_called(world: World) -> None:
    timer = world.loop.after(1.0, lambda: world.note("never"))
    world.loop.after(2.0, lambda: world.note("called"))
    timer.cancel()
    world.pass_time(3.0)
    assert world.called == ["called"]


def test_timer_that_is_never_due_can_be_cancelled() -> None:
    Timer.never().cancel()


def test_repeated_call_goes_on_after_it_raises(world: World) -> None:
    def look() -> None:
        world.note("look")
        raise ValueError("on purpose")

    world.loop.every(1.0, look)
    for _ in range(3):
        world.pass_time(1.0)
    assert world.called == ["look"] * 3
    assert [str(fault) for fault in world.faults] == ["on purpose"] * 3


def test_descriptor_is_called_while_it_can_be_read(world: World, pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    world.loop.watch(reader, lambda: world.note("readable"))
    os.write(writer, b"xy")
    world.loop.turn()
    os.read(reader, 1)
    world.loop.turn()
    os.read(reader, 1)
    world.loop.after(0.0, lambda: world.note("nothing to read"))
    world.loop.turn()
    assert world.called == ["readable", "readable", "nothing to read"]


def test_forgotten_descriptor_is_not_called_even_in_the_same_turn(
    world: World, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe
    other = os.dup(reader)

    def forget_both() -> None:
        world.note("once")
        world.loop.forget(reader)
        world.loop.forget(other)

    world.loop.watch(reader, forget_both)
    world.loop.watch(other, forget_both)
    os.write(writer, b"x")
    world.loop.turn()
    os.close(other)
    assert world.called == ["once"]
    world.loop.forget(reader)


def test_callback_that_raises_does_not_keep_the_others_from_being_called(
    world: World, pipe: tuple[int, int]
) -> None:
    reader, writer = pipe

    def fail() -> None:
        raise RuntimeError("on purpose")

    world.loop.watch(reader, fail)
    world.loop.after(0.0, lambda: world.note("called"))
    os.write(writer, b"x")
    world.loop.turn()
    assert world.called == ["called"]
    assert [str(fault) for fault in world.faults] == ["on purpose"]


def test_source_is_asked_each_turn_and_told_what_is_ready(world: World, pipe: tuple[int, int]) -> None:
    reader, writer = pipe

    class Source:
        wanted: dict[int, int]

        def __init__(self) -> None:
            self.wanted = {reader: select.POLLIN}

        def interests(self) -> dict[int, int]:
            return self.wanted

        def on_ready(self, descriptor: int, events: int) -> None:
            world.note(f"{descriptor == reader} {events == select.POLLIN}")

    source = Source()
    world.loop.source = source
    os.write(writer, b"x")
    world.loop.turn()
    source.wanted = {}
    world.loop.after(0.0, lambda: world.note("no interest"))
    world.loop.turn()
    assert world.called == ["True True", "no interest"]
