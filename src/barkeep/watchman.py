"""Looks at the workers a few times a second: stalls, recycling, memory, and the service manager's watchdog.

All that it knows of them stands in the scoreboard and in /proc. No worker is asked, so a stuck one is seen.
"""

from __future__ import annotations

import functools
import os
import time

from .cpus import choose_workers, usable_cpus
from .launcher import DRAINING, SERVING
from .memory import group_bytes, memory_limit_bytes, out_of_memory_kills, usage
from .recycling import Bounds, Reading, due
from .stacks import StackRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .generation import Generation
    from .launcher import WorkerProcess
    from .memory import Usage
    from .settings import Settings
    from .supervisor import Supervisor

LOOK_S = 0.25
# Reading the memory of a large process takes milliseconds.
LOOKS_PER_MEASUREMENT = 8
# Of the limit of the control group: the kernel ends the largest process at all of it.
BUDGET_SHARE = 0.9
# What a worker needs is not known before it has served for a while.
SETTLED_AFTER_S = 30.0


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
        self.budget_bytes: int | None = None
        if settings.memory_budget == "auto":
            limit = memory_limit_bytes()
            self.budget_bytes = None if limit is None else int(limit * BUDGET_SHARE)
        elif settings.memory_budget != "off":
            self.budget_bytes = int(settings.memory_budget)

    def usage(self) -> dict[int, Usage]:
        """Memory of each worker by process id, measured now."""
        pids = [worker.pid for worker in self._supervisor.workers_by_slot() if worker.pid]
        measured = {pid: usage(pid) for pid in pids}
        return {pid: used for pid, used in measured.items() if used is not None}

    def other_bytes(self) -> int:
        """Memory of the processes that are no workers: the supervisor and the zygotes."""
        makers = [pid for generation in self._supervisor.generations for pid in generation.makers()]
        return group_bytes([os.getpid(), *makers])

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel has killed a process of ours for memory since this was last asked."""
        before, self._kills = self._kills, out_of_memory_kills()
        return self._kills > before

    def choose_workers(self, wanted: int | str) -> int:
        """How many workers `--workers` means here and now."""
        largest = max((used.pss for used in self.usage().values()), default=None)
        return choose_workers(wanted, usable_cpus(), self.budget_bytes, largest)

    def look(self) -> None:
        """One round."""
        self._looks += 1
        self._look_for_stalls()
        if self._looks % LOOKS_PER_MEASUREMENT == 0:
            self._recycle()
            self._fit_into_memory()
        self._supervisor.announcer.feed_watchdog(is_healthy=not self._stalled)

    def _look_for_stalls(self) -> None:
        workers = [w for w in self._supervisor.workers_by_slot() if w.state in (SERVING, DRAINING)]
        self._stalled &= {worker.pid for worker in workers}
        for worker in workers:
            if self._is_stalled(worker) and worker.pid not in self._stalled:
                self._stalled.add(worker.pid)
                # Its own I/O thread has answered what it had; now tell why, and put another in its place.
                StackRequest(self._supervisor.loop, worker, functools.partial(self._end_stalled, worker))

    def _is_stalled(self, worker: WorkerProcess) -> bool:
        return self._supervisor.places.scoreboard.state(worker.place) == "stalled"

    def _end_stalled(self, worker: WorkerProcess, stacks: str) -> None:
        if not self._is_stalled(worker):
            # It came back while its stacks were read: what has a place in it now may go on.
            self._stalled.discard(worker.pid)
            self._supervisor.log.warning(f"{worker} stood still for a while\n{stacks.rstrip()}")
            return
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
        # Workers of an older generation do not count: they are on their way out.
        other_bytes = 0 if self.budget_bytes is None else self.other_bytes()
        found = due(self._readings(current), self._bounds, self.budget_bytes, other_bytes)
        worker = current.in_slot(found[0]) if found is not None else None
        if found is not None and worker is not None:
            current.replace(worker, found[1])

    def _readings(self, current: Generation) -> list[Reading]:
        usages, now_s = self.usage(), time.monotonic()
        readings = []
        for worker in current.workers:
            used = usages.get(worker.pid)
            readings.append(
                Reading(
                    worker.slot,
                    worker.pid,
                    self._supervisor.places.reading(worker).counters["requests"],
                    now_s - worker.began_s,
                    used.pss if used is not None else 0,
                    used.private if used is not None else None,
                )
            )
        return readings

    def _fit_into_memory(self) -> None:
        """With --workers auto: fewer than CPUs, now that it is known what one needs."""
        current = self._supervisor.current
        if current is None or current.settings.workers != "auto" or self._supervisor.is_stopping:
            return
        fitting = self.choose_workers("auto")
        if fitting < current.wanted and time.monotonic() - current.began_s > SETTLED_AFTER_S:
            self._supervisor.log.warning(
                "--workers auto: fewer workers, for they need more memory than there is"
            )
            self._supervisor.scale(fitting)
