"""How many CPUs this process may use, and how many workers --workers auto means."""

from __future__ import annotations

import os

from .cgroups import VERSION_2, own_directories, read

# What --workers takes at most (settings.py; a test holds that they agree).
MOST_WORKERS = 256

# During a reload the workers of two generations live, and all of them must fit.
GENERATIONS_AT_ONCE = 2


def usable_cpus(root: str = "/", affinity: int | None = None) -> int:
    """CPUs that this process may use: its affinity and the quota of its control groups; at least one.

    root: where /proc and /sys are looked for. affinity: CPUs it may run on; None asks the system.
    A quota of one and a half CPUs counts as two: with one worker half a CPU would be left.
    """
    cpus = _affinity() if affinity is None else affinity
    quota = _quota(root)
    if quota is not None:
        cpus = min(cpus, quota)
    return max(1, cpus)


def choose_workers(
    setting: int | str, cpus: int, memory_limit_bytes: int | None, worker_bytes: int | None
) -> int:
    """How many workers `--workers` means: the number it names, or for "auto" one per CPU as memory allows.

    memory_limit_bytes: what all workers together may use; None for no limit.
    worker_bytes: what one worker uses; None before that is known, and memory does not count then.
    """
    if isinstance(setting, int):
        return setting
    workers = min(cpus, MOST_WORKERS)
    if memory_limit_bytes is not None and worker_bytes:
        workers = min(workers, memory_limit_bytes // (worker_bytes * GENERATIONS_AT_ONCE))
    return max(1, workers)


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(root: str) -> int | None:
    """Whole CPUs, rounded up, that the smallest quota on the way up allows; None without any."""
    quotas = [
        *(read(f"{directory}/cpu.max").split() for directory in own_directories(root, VERSION_2)),
        *(
            [read(f"{directory}/cpu.cfs_quota_us").strip(), read(f"{directory}/cpu.cfs_period_us").strip()]
            for directory in own_directories(root, "cpu")
        ),
    ]
    # Microseconds in each period. "max" in version 2 and -1 in version 1 are no quota.
    numbers = [
        (int(words[0]), int(words[1]))
        for words in quotas
        if len(words) == 2 and words[0].isdecimal() and words[1].isdecimal()
    ]
    return min((-(-quota_us // period_us) for quota_us, period_us in numbers if period_us), default=None)
