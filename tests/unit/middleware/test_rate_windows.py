"""Windows of time: what they allow, what is forgotten, and that threads together get no more."""

from __future__ import annotations

import threading

import pytest

from barkeep.middleware.rate_windows import FixedWindow, MovingWindow


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def allowed(window: MovingWindow | FixedWindow, *keys: str) -> list[bool]:
    return [window.take(key).is_allowed for key in keys]


def test_a_moving_window_allows_its_amount_in_any_period() -> None:
    clock = Clock()
    window = MovingWindow(2, 60, clock)
    assert window.take("a") == (True, 1, 60)
    clock.now_s += 50
    assert window.take("a") == (True, 0, 10)
    assert window.take("a") == (False, 0, 10)
    clock.now_s += 10
    assert window.take("a") == (True, 0, 50)
    assert window.take("a") == (False, 0, 50)


def test_a_fixed_window_begins_with_the_first_request() -> None:
    clock = Clock()
    window = FixedWindow(2, 60, clock)
    assert window.take("a") == (True, 1, 60)
    clock.now_s += 59
    assert window.take("a") == (True, 0, 1)
    assert window.take("a") == (False, 0, 1)
    clock.now_s += 1
    assert window.take("a") == (True, 1, 60)


@pytest.mark.parametrize("kind", [MovingWindow, FixedWindow])
def test_keys_are_counted_apart(kind: type[MovingWindow | FixedWindow]) -> None:
    assert allowed(kind(1, 60), "a", "b", "a", "b") == [True, True, False, False]


@pytest.mark.parametrize("kind", [MovingWindow, FixedWindow])
def test_keys_whose_window_is_over_are_forgotten(kind: type[MovingWindow | FixedWindow]) -> None:
    clock = Clock()
    window = kind(5, 60, clock)
    for number in range(100):
        window.take(f"old {number}")
    clock.now_s += 61
    for number in range(100):
        window.take(f"new {number}")
    assert len(window) == 100


@pytest.mark.parametrize("kind", [MovingWindow, FixedWindow])
def test_a_flood_of_keys_is_remembered_up_to_a_bound(kind: type[MovingWindow | FixedWindow]) -> None:
    window = kind(5, 60, Clock(), max_remembered=50)
    assert all(allowed(window, *map(str, range(1000))))
    assert len(window) <= 50
    assert not all(allowed(window, *["999"] * 5))


@pytest.mark.parametrize("kind", [MovingWindow, FixedWindow])
def test_threads_together_get_the_amount_and_no_more(kind: type[MovingWindow | FixedWindow]) -> None:
    window = kind(100, 3600)
    together = threading.Barrier(8)
    counts: list[int] = []

    def take_many() -> None:
        together.wait()
        counts.append(sum(allowed(window, *["a"] * 50)))

    threads = [threading.Thread(target=take_many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 100
