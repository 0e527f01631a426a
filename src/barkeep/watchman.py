"""Looks at the workers a few times a second: stalls, recycling, memory, and the service manager's watchdog.

All that it knows of them stands in the scoreboard and in /proc. No worker is asked, so a stuck one is seen.
"""

from __future__ import annotations

import functools
import time

from .cpus import choose_workers, usable_cpus
from .launcher import DRAINING, SERVING
from .memory import budget_bytes, memory_limit_bytes, out_of_memory_kills, own_bytes
from .recycling import Bounds, Reading, due
from .stacks import StackRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .launcher import WorkerProcess
    from .settings import Settings
    from .supervisor import Supervisor

LOOK_S = 0.25
# Reading the memory of a large process takes milliseconds.
LOOKS_PER_MEASUREMENT = 8


class Watchman:
    """Begins to look when it is made; decides nothing about the workers' requests."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._looks = 0
        self._kills = out_of_memory_kills()
        self._stalled: set[int] = set()
        self.take_settings(supervisor.settings)
        supervisor.loop.every(LOOK_S, self.look)

    def take_settings(self, settings: Settings) -> None:
        """Bounds and budget of a new generation."""
        self._bounds = Bounds.of(settings)
        self.budget_bytes = budget_bytes(settings.memory_budget, memory_limit_bytes())

    def memory_bytes(self) -> dict[int, int]:
        """Memory of each worker by process id: its own, and its share of what it has in common."""
        pids = [worker.pid for worker in self._supervisor.workers_by_slot() if worker.pid]
        measured = {pid: own_bytes(pid) for pid in pids}
        return {pid: used.proportional_bytes for pid, used in measured.items() if used is not None}

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel has killed a process of ours for memory since this was last asked."""
        before, self._kills = self._kills, out_of_memory_kills()
        return self._kills > before

    def choose_workers(self, wanted: int | str) -> int:
        """How many workers `--workers` means here and now."""
        measured = self.memory_bytes()
        largest = max(measured.values()) if measured else None
        return choose_workers(wanted, usable_cpus(), self.budget_bytes, largest)

    def look(self) -> None:
        """One round."""
        self._looks += 1
        self._look_for_stalls()
        if self._looks % LOOKS_PER_MEASUREMENT == 0:
            self._recycle()
        self._supervisor.announcer.feed_watchdog(is_healthy=not self._stalled)

    def _look_for_stalls(self) -> None:
        workers = [w for w in self._supervisor.workers_by_slot() if w.state in (SERVING, DRAINING)]
        self._stalled &= {worker.pid for worker in workers}
        for worker in workers:
            is_stalled = self._supervisor.places.scoreboard.state(worker.place) == "stalled"
            if is_stalled and worker.pid not in self._stalled:
                self._stalled.add(worker.pid)
                # Its own I/O thread has answered what it had; now tell why, and put another in its place.
                StackRequest(self._supervisor.loop, worker, functools.partial(self._end_stalled, worker))

    def _end_stalled(self, worker: WorkerProcess, stacks: str) -> None:
        self._supervisor.log.error(
            f"{worker} is killed: Python does not run in it any more\n{stacks.rstrip()}"
        )
        worker.kill()

    def _recycle(self) -> None:
        supervisor = self._supervisor
        current = supervisor.current
        if current is None or supervisor.is_stopping or supervisor.reloader.is_under_way:
            return
        if not self._bounds.needs_readings and self.budget_bytes is None:
            return
        if any(worker.replacement is not None or worker.state != SERVING for worker in current.workers):
            # One at a time, and none while another is missing.
            return
        memory = self.memory_bytes()
        now_s = time.monotonic()
        readings = [
            Reading(
                slot=worker.slot,
                pid=worker.pid,
                requests=supervisor.places.reading(worker).counters["requests"],
                age_s=now_s - worker.began_s,
                memory_bytes=memory.get(worker.pid, 0),
            )
            for worker in current.workers
        ]
        found = due(readings, self._bounds, self.budget_bytes)
        if found is not None:
            slot, why = found
            worker = current.in_slot(slot)
            if worker is not None:
                current.replace(worker, why)
