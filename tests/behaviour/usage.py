"""What this process uses, for tests of leaks: descriptors, threads, memory."""

from __future__ import annotations

import os
import threading
from pathlib import Path


def descriptors() -> int:
    """Descriptors that are open, and one that is open to look."""
    return len(os.listdir("/proc/self/fd"))


def threads() -> int:
    """Threads of every kind, also those Python does not know of."""
    assert threading.active_count() <= len(os.listdir("/proc/self/task"))
    return len(os.listdir("/proc/self/task"))


def memory_bytes() -> int:
    """Memory that is this process's own."""
    rollup = Path("/proc/self/smaps_rollup").read_text()
    return 1024 * sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_"))
