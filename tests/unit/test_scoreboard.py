"""The scoreboard's memory as the supervisor reads it; the engine's half is seen in tests/behaviour."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import sys
from collections.abc import Iterator
from itertools import pairwise

import pytest

from barkeep import _engine
from barkeep.scoreboard import BUCKETS, LAYOUT, PLACE_BYTES, Histogram, Scoreboard, bucket_bounds_us
from barkeep.settings import Settings

PLACES = 4


@pytest.fixture
def scoreboard() -> Iterator[Scoreboard]:
    board = Scoreboard.create(PLACES)
    yield board
    board.close()


@pytest.fixture
def memory(scoreboard: Scoreboard) -> Iterator[mmap.mmap]:
    """The same memory, to write where an engine would."""
    with mmap.mmap(scoreboard.fileno(), 0) as mapped:
        yield mapped


def put(memory: mmap.mmap, place: int, name: str, value: int, number: int = 0, *, word: int = 0) -> None:
    """Write one word: name as in LAYOUT, number: which block or record."""
    part = name.partition(".")[0]
    begin = LAYOUT["place"][0] + place * PLACE_BYTES + LAYOUT[name][0] + 8 * word
    if part != "state":
        begin += LAYOUT[part][0] + number * LAYOUT[part][1]
    struct.pack_into("<Q", memory, begin, value)


def put_text(memory: mmap.mmap, name: str, text: bytes, number: int = 0) -> None:
    put(memory, 0, f"record.{name}_length", len(text), number)
    begin = LAYOUT["place"][0] + LAYOUT["record"][0] + number * LAYOUT["record"][1]
    begin += LAYOUT[f"record.{name}"][0]
    kept = text[: LAYOUT[f"record.{name}"][1]]
    memory[begin : begin + len(kept)] = kept


def list_exchange(memory: mmap.mmap, number: int = 0, phase: int = 3, first_byte_ns: int = 5) -> None:
    put(memory, 0, "state.records_used", number + 1)
    put(memory, 0, "record.phase", phase, number)
    put(memory, 0, "record.first_byte_ns", first_byte_ns, number)


def engine(scoreboard: Scoreboard, place: int = 0) -> _engine.Engine:
    options = Settings.from_kwargs().engine_options()
    descriptor = scoreboard.fileno()
    return _engine.Engine([], options, scoreboard_fd=descriptor, place=place, slot=7, generation=3)


def test_both_languages_have_the_same_layout() -> None:
    assert LAYOUT == _engine.SCOREBOARD_LAYOUT


def test_a_new_scoreboard_shows_nobody(scoreboard: Scoreboard) -> None:
    reading = scoreboard.place(PLACES - 1)
    assert (reading.pid, reading.state, reading.counters["requests"]) == (0, "starting", 0)
    assert scoreboard.exchanges(PLACES - 1) == []


def test_a_place_that_is_not_there_is_an_error(scoreboard: Scoreboard) -> None:
    for index in (-1, PLACES):
        with pytest.raises(IndexError, match=f"has 4 places, found {index}"):
            scoreboard.place(index)


def test_an_engine_says_who_it_is_in_its_own_place_only(scoreboard: Scoreboard) -> None:
    made = engine(scoreboard, place=2)
    reading = scoreboard.place(2)
    assert (reading.pid, reading.slot, reading.generation) == (os.getpid(), 7, 3)
    assert reading.state == "starting"
    made.ready()
    assert scoreboard.place(2).state == "ready"
    assert [scoreboard.place(other).pid for other in (0, 1, 3)] == [0, 0, 0]


def test_an_engine_refuses_a_place_that_is_not_there(scoreboard: Scoreboard) -> None:
    with pytest.raises(ValueError, match="it has 4 places, place 4 is not among them"):
        engine(scoreboard, place=4)


def test_an_engine_refuses_memory_of_another_layout(scoreboard: Scoreboard, memory: mmap.mmap) -> None:
    memory[:8] = b"barkeep0"
    with pytest.raises(ValueError, match="another layout"):
        engine(scoreboard)


def test_counters_and_histograms_of_all_threads_are_added(scoreboard: Scoreboard, memory: mmap.mmap) -> None:
    put(memory, 1, "state.blocks_used", 3)
    for block, requests in ((0, 1), (2, 10)):
        put(memory, 1, "block.requests", requests, block)
        put(memory, 1, "block.application", requests, block, word=5)
        put(memory, 1, "block.sums_us", 5 * requests, block, word=2)
    reading = scoreboard.place(1)
    assert reading.counters["requests"] == 11
    application = reading.histograms["application"]
    assert (application.count, application.sum_us, application.counts[5]) == (11, 55, 11)
    assert reading.histograms["head"].count == 0


def test_exchanges_come_oldest_first_with_their_texts(scoreboard: Scoreboard, memory: mmap.mmap) -> None:
    list_exchange(memory, 0, first_byte_ns=20)
    list_exchange(memory, 1, phase=2, first_byte_ns=10)
    put_text(memory, "method", b"GET")
    put_text(memory, "target", b"/slow?a=1")
    put_text(memory, "client", b"192.0.2.7")
    put(memory, 0, "record.port", 4711)
    put(memory, 0, "record.thread", 3)
    queued, running = scoreboard.exchanges(0)
    assert (queued.phase, queued.first_byte_ns) == ("queued", 10)
    assert (running.phase, running.method, running.target) == ("running", "GET", "/slow?a=1")
    assert (running.client, running.client_port, running.thread) == ("192.0.2.7", 4711, 3)


def test_a_target_cannot_write_to_a_terminal_and_shows_where_it_was_cut(
    scoreboard: Scoreboard, memory: mmap.mmap
) -> None:
    list_exchange(memory)
    put_text(memory, "target", b"/\x1b[2J\\\xff")
    assert scoreboard.exchanges(0)[0].target == "/\\x1b[2J\\x5c\\xff"
    put_text(memory, "target", b"/" + b"a" * 200)
    assert scoreboard.exchanges(0)[0].target == "/" + "a" * 103 + "..."


def test_a_record_whose_writer_stands_in_the_middle_is_left_out(
    scoreboard: Scoreboard, memory: mmap.mmap
) -> None:
    list_exchange(memory)
    put(memory, 0, "record.sequence", 7)
    assert scoreboard.exchanges(0) == []
    put(memory, 0, "record.sequence", 8)
    assert len(scoreboard.exchanges(0)) == 1


def test_a_cleared_place_is_as_new_and_its_neighbours_stay(scoreboard: Scoreboard, memory: mmap.mmap) -> None:
    list_exchange(memory)
    for place in range(PLACES):
        put(memory, place, "state.pid", 100 + place)
    scoreboard.clear(1)
    assert [scoreboard.place(place).pid for place in range(PLACES)] == [100, 0, 102, 103]
    scoreboard.clear(0)
    assert scoreboard.exchanges(0) == []


def test_a_command_is_seen_in_its_place(scoreboard: Scoreboard) -> None:
    scoreboard.write_command(3, 9)
    assert [scoreboard.place(place).command for place in range(PLACES)] == [0, 0, 0, 9]


if sys.platform == "linux":  # macOS has no seals

    def test_nobody_can_make_the_memory_shorter_while_workers_use_it(scoreboard: Scoreboard) -> None:
        assert fcntl.fcntl(scoreboard.fileno(), fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK
        with pytest.raises(PermissionError):
            os.ftruncate(scoreboard.fileno(), 4096)


def test_untouched_places_take_no_memory(scoreboard: Scoreboard) -> None:
    assert os.fstat(scoreboard.fileno()).st_blocks * 512 < PLACE_BYTES


def test_buckets_follow_one_another_and_are_a_quarter_of_a_power_of_two_at_the_most() -> None:
    bounds = [bucket_bounds_us(bucket) for bucket in range(BUCKETS)]
    assert bounds[0] == (0, 1)
    assert all(before[1] == after[0] for before, after in pairwise(bounds))
    assert all((high - low) * 4 <= low for low, high in bounds[4:])


def test_a_percentile_is_within_an_eighth_of_the_truth() -> None:
    counts = [0] * BUCKETS
    for microseconds in range(1, 100_001):
        counts[next(b for b in range(BUCKETS) if microseconds < bucket_bounds_us(b)[1])] += 1
    histogram = Histogram(counts, sum_us=5_000_050_000)
    for percent in (1, 25, 50, 95, 99, 100):
        truth = percent * 1000
        assert abs(histogram.percentile_us(percent) - truth) <= truth / 8


def test_histograms_add_up() -> None:
    one = Histogram([1, 0, 2], 4)
    both = one + one
    assert (both.counts, both.sum_us, both.count) == ([2, 0, 4], 8, 6)


def test_a_percentile_of_nothing_is_zero() -> None:
    assert Histogram([0] * BUCKETS, 0).percentile_us(99) == 0.0
