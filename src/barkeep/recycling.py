"""Which worker is due to be replaced, by its requests, age or memory. Pure: the caller measures and acts.

At most one is named at a time: another takes its place before it goes, and only then is the next looked for.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .settings import Settings

MIB = 1024 * 1024

# A worker younger than this is not replaced for its memory. One that is above a bound from its start would be
# replaced again and again, and each replacement is an import of the application.
YOUNGEST_FOR_MEMORY_S = 30.0


class Reading:
    """One worker that serves, as it is now.

    pid: gives the worker its own jitter. age_s: since its process began.
    memory_bytes: its own and its share of what it has in common (PSS); 0 when it is not known.
    private_bytes: what is its own; memory_bytes stands for it when it is not told.
    """

    __slots__ = ("age_s", "memory_bytes", "pid", "private_bytes", "requests", "slot")

    def __init__(
        self,
        slot: int,
        pid: int,
        requests: int,
        age_s: float,
        memory_bytes: int,
        private_bytes: int | None = None,
    ) -> None:
        self.slot = slot
        self.pid = pid
        self.requests = requests
        self.age_s = age_s
        self.memory_bytes = memory_bytes
        self.private_bytes = memory_bytes if private_bytes is None else private_bytes


class Bounds:
    """What a worker may reach before it is replaced; 0 is no bound.

    jitter_percent: each worker may have up to so much more, so that workers that began together are not due
    together. Never less: a bound just above what a worker needs must not fall below it.
    """

    def __init__(
        self,
        max_requests: int = 0,
        max_lifetime_s: float = 0.0,
        max_memory_bytes: int = 0,
        jitter_percent: int = 0,
    ) -> None:
        self.max_requests = max_requests
        self.max_lifetime_s = max_lifetime_s
        self.max_memory_bytes = max_memory_bytes
        self.jitter_percent = jitter_percent

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """The bounds that the settings name."""
        return cls(settings.max_requests, settings.max_lifetime, settings.max_memory, settings.recycle_jitter)

    @property
    def needs_readings(self) -> bool:
        """Whether there is any bound."""
        return bool(self.max_requests or self.max_lifetime_s or self.max_memory_bytes)

    def for_worker(self, pid: int) -> Bounds:
        """Those of one worker: the same whenever they are asked for, and others than its neighbour's."""
        if not self.jitter_percent:
            return self
        # Imported only when there is jitter: the supervisor is to stay small.
        import random

        draw = random.Random(pid)  # noqa: S311 - nothing secret
        requests, lifetime, memory = (1 + draw.random() * self.jitter_percent / 100 for _ in range(3))
        return Bounds(
            round(self.max_requests * requests),
            self.max_lifetime_s * lifetime,
            round(self.max_memory_bytes * memory),
        )


def due(
    readings: Sequence[Reading],
    bounds: Bounds,
    budget_bytes: int | None = None,
    other_bytes: int = 0,
) -> tuple[int, str] | None:
    """The slot of the worker to replace now, and why; None when all may go on.

    The group's memory comes first, for when it has run out the kernel ends whom it likes. Then the worker
    that is furthest above one of its bounds.
    readings: of workers that serve; none while one of them is being replaced.
    budget_bytes: what all processes together may use. other_bytes: what those that are no workers use of it.
    """
    found = _above_budget(readings, budget_bytes, other_bytes)
    if found is not None or not bounds.needs_readings:
        return found
    excesses = [excess for reading in readings for excess in _excesses(reading, bounds)]
    if not excesses:
        return None
    _ratio, slot, why = max(excesses, key=lambda excess: excess[0])
    return slot, why


def _above_budget(
    readings: Sequence[Reading], budget_bytes: int | None, other_bytes: int
) -> tuple[int, str] | None:
    """The largest worker, when all together are above the budget."""
    total_bytes = other_bytes + sum(reading.memory_bytes for reading in readings)
    candidates = [
        reading for reading in readings if reading.age_s >= YOUNGEST_FOR_MEMORY_S and reading.private_bytes
    ]
    if budget_bytes is None or total_bytes <= budget_bytes or not candidates:
        return None
    # What its end gives back: its share of common memory stays with the others.
    largest = max(candidates, key=lambda reading: reading.private_bytes)
    return largest.slot, (
        f"all processes use {_mib(total_bytes)}, above --memory-budget ({_mib(budget_bytes)}), "
        f"and it is the largest with {_mib(largest.memory_bytes)}"
    )


def _excesses(reading: Reading, bounds: Bounds) -> list[tuple[float, int, str]]:
    """How many times each bound that it has reached, with its slot and the reason."""
    own = bounds.for_worker(reading.pid)
    memory_bytes = reading.private_bytes if reading.age_s >= YOUNGEST_FOR_MEMORY_S else 0
    values = (
        (reading.requests, own.max_requests, f"{reading.requests} requests (--max-requests)"),
        (reading.age_s, own.max_lifetime_s, f"it is {reading.age_s:.0f} s old (--max-lifetime)"),
        (memory_bytes, own.max_memory_bytes, f"it uses {_mib(memory_bytes)} (--max-memory)"),
    )
    return [(value / bound, reading.slot, why) for value, bound, why in values if bound and value >= bound]


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / MIB:.0f} MiB"
