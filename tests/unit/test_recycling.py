"""recycling.py: one worker at a time, for its requests, its age, its memory or that of all."""

from __future__ import annotations

import pytest

from barkeep.recycling import YOUNGEST_FOR_MEMORY_S, Bounds, Reading, due
from barkeep.settings import Settings

MIB = 1024**2


def reading(
    slot: int,
    requests: int = 0,
    age_s: float = 1000.0,
    memory_mib: int = 50,
    private_mib: int | None = None,
) -> Reading:
    private_bytes = None if private_mib is None else private_mib * MIB
    return Reading(slot, 4000 + slot, requests, age_s, memory_mib * MIB, private_bytes)


def test_bounds_are_off_by_default() -> None:
    bounds = Bounds.of(Settings({}))
    assert not bounds.needs_readings
    assert due([reading(0, requests=10**9, age_s=10**9, memory_mib=10**6)], bounds) is None


def test_bounds_come_from_their_settings() -> None:
    typed = {
        "max_requests": "1000",
        "max_lifetime": "1h",
        "max_memory": "100MiB",
        "recycle_jitter": "20",
    }
    bounds = Bounds.of(Settings({name: (text, "test") for name, text in typed.items()}))
    assert (bounds.max_requests, bounds.max_lifetime_s) == (1000, 3600.0)
    assert (bounds.max_memory_bytes, bounds.jitter_percent) == (100 * MIB, 20)
    assert bounds.needs_readings


@pytest.mark.parametrize(("requests", "found"), [(99, None), (100, (0, "100 requests (--max-requests)"))])
def test_worker_is_due_when_it_has_had_its_requests(requests: int, found: tuple[int, str] | None) -> None:
    assert due([reading(0, requests=requests)], Bounds(max_requests=100)) == found


def test_worker_is_due_at_the_end_of_its_lifetime() -> None:
    bounds = Bounds(max_lifetime_s=3600.0)
    assert due([reading(0, age_s=3599.0), reading(1, age_s=3600.0)], bounds) == (
        1,
        "it is 3600 s old (--max-lifetime)",
    )


def test_worker_is_due_when_what_is_its_own_reaches_the_bound() -> None:
    bounds = Bounds(max_memory_bytes=100 * MIB)
    shares_much = reading(0, memory_mib=150, private_mib=90)
    assert due([shares_much], bounds) is None
    assert due([shares_much, reading(1, memory_mib=120)], bounds) == (1, "it uses 120 MiB (--max-memory)")


def test_worker_of_unknown_memory_is_not_due_for_it() -> None:
    unknown = [reading(0, memory_mib=0)]
    assert due(unknown, Bounds(max_memory_bytes=MIB), budget_bytes=MIB, other_bytes=2 * MIB) is None


def test_one_is_named_of_several_and_it_is_the_one_furthest_above() -> None:
    bounds = Bounds(max_requests=100, max_lifetime_s=100.0)
    readings = [
        reading(0, requests=150, age_s=50.0),
        reading(1, requests=101, age_s=220.0),
        reading(2, requests=200, age_s=99.0),
    ]
    assert due(readings, bounds) == (1, "it is 220 s old (--max-lifetime)")


def test_nobody_is_due_when_nobody_serves() -> None:
    assert due([], Bounds(max_requests=1), budget_bytes=0, other_bytes=1) is None


# -- jitter -------------------------------------------------------------------------------------------


def test_jitter_differs_between_workers_and_not_between_looks() -> None:
    bounds = Bounds(
        max_requests=100_000, max_lifetime_s=1000.0, max_memory_bytes=100 * MIB, jitter_percent=10
    )
    of_workers = [bounds.for_worker(pid) for pid in range(100, 164)]
    assert len({own.max_requests for own in of_workers}) > 60
    assert len({own.max_lifetime_s for own in of_workers}) > 60
    assert len({own.max_memory_bytes for own in of_workers}) > 60
    assert bounds.for_worker(100).max_requests == of_workers[0].max_requests


def test_jitter_only_adds_and_not_more_than_told() -> None:
    bounds = Bounds(max_requests=1000, max_lifetime_s=1000.0, max_memory_bytes=1000, jitter_percent=10)
    for pid in range(1, 500):
        own = bounds.for_worker(pid)
        assert 1000 <= own.max_requests <= 1100
        assert 1000.0 <= own.max_lifetime_s <= 1100.0
        assert 1000 <= own.max_memory_bytes <= 1100


def test_jitter_makes_no_bound_where_there_is_none() -> None:
    own = Bounds(max_requests=10, jitter_percent=100).for_worker(7)
    assert own.max_lifetime_s == 0
    assert own.max_memory_bytes == 0


def test_workers_that_began_together_are_not_due_together() -> None:
    bounds = Bounds(max_lifetime_s=1000.0, jitter_percent=10)
    four = [reading(slot, age_s=1050.0) for slot in range(4)]
    due_now = {slot for slot in range(4) if due([four[slot]], bounds)}
    assert 0 < len(due_now) < 4


# -- the memory of all --------------------------------------------------------------------------------


def test_largest_worker_is_due_when_all_together_are_above_the_budget() -> None:
    readings = [reading(0, memory_mib=100), reading(1, memory_mib=250), reading(2, memory_mib=100)]
    assert due(readings, Bounds(), budget_bytes=450 * MIB) is None
    found = due(readings, Bounds(), budget_bytes=449 * MIB)
    assert found == (
        1,
        "all processes use 450 MiB, above --memory-budget (449 MiB), and it is the largest with 250 MiB",
    )


def test_processes_that_are_no_workers_count_in_the_budget() -> None:
    readings = [reading(0, memory_mib=100), reading(1, memory_mib=110)]
    found = due(readings, Bounds(), budget_bytes=220 * MIB, other_bytes=20 * MIB)
    assert found is not None
    assert found[0] == 1


def test_largest_is_the_one_whose_end_gives_most_back() -> None:
    readings = [
        reading(0, memory_mib=120, private_mib=20),
        reading(1, memory_mib=100, private_mib=90),
    ]
    found = due(readings, Bounds(), budget_bytes=200 * MIB)
    assert found is not None
    assert found[0] == 1


def test_budget_comes_before_the_bounds() -> None:
    readings = [reading(0, requests=1000), reading(1, memory_mib=60)]
    found = due(readings, Bounds(max_requests=10), budget_bytes=100 * MIB)
    assert found is not None
    assert found[0] == 1


@pytest.mark.parametrize("age_s", [0.0, YOUNGEST_FOR_MEMORY_S - 0.1])
def test_worker_that_is_too_large_from_its_start_is_not_replaced_again_and_again(age_s: float) -> None:
    young = [reading(0, age_s=age_s, memory_mib=300), reading(1, age_s=age_s, memory_mib=300)]
    assert due(young, Bounds(max_memory_bytes=MIB), budget_bytes=MIB) is None


def test_older_worker_goes_for_the_budget_while_the_largest_is_young() -> None:
    readings = [reading(0, age_s=1.0, memory_mib=300), reading(1, memory_mib=200)]
    found = due(readings, Bounds(), budget_bytes=400 * MIB)
    assert found is not None
    assert found[0] == 1
