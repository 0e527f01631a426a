"""How much memory processes use, how much the control group allows, and whether it ran out. All in bytes.

Nothing here raises: what the system does not tell is None, and where it has no /proc nothing is told.
"""

from __future__ import annotations

import os

from .cgroups import VERSION_2, keyed_number, own_directories, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

KIB = 1024


class Usage:
    """What one process uses, in bytes.

    private: its own, which its end would give back; swapped out or not.
    pss: with its share of what it has in common with others; those of a group can be added up.
    rss: all that it has in memory.
    is_estimate: the system did not tell the first two exactly.
    """

    __slots__ = ("is_estimate", "private", "pss", "rss")

    def __init__(self, private: int, pss: int, rss: int, is_estimate: bool = False) -> None:
        self.private = private
        self.pss = pss
        self.rss = rss
        self.is_estimate = is_estimate

    def __repr__(self) -> str:
        about = ", estimated" if self.is_estimate else ""
        return f"Usage(private {self.private}, pss {self.pss}, rss {self.rss}{about})"


def usage(pid: int, root: str = "/") -> Usage | None:
    """What a process uses now; None when it has ended or the system does not tell.

    The kernel walks all pages of the process for it, which takes milliseconds for a large one: every few
    seconds is often enough. Source: proc_pid_smaps(5), proc_pid_statm(5).
    """
    try:
        with open(os.path.join(root, f"proc/{pid}/smaps_rollup"), encoding="ascii") as file:
            return _from_rollup(file.read())
    except ProcessLookupError:
        # Ended, and not yet waited for.
        return None
    except OSError:
        # A worker of another user is closed to a supervisor without CAP_SYS_PTRACE, which containers lack.
        return _from_statm(read(os.path.join(root, f"proc/{pid}/statm")))


def group_bytes(pids: Iterable[int], root: str = "/") -> int:
    """What these processes use together, each shared page counted once. Those that have ended use nothing."""
    usages = (usage(pid, root) for pid in pids)
    return sum(used.pss for used in usages if used is not None)


def memory_limit_bytes(root: str = "/") -> int | None:
    """What the control groups above this process allow, the smallest of them; None when they set no limit.

    A limit above the memory of the machine is none: it is never reached. Swap is not counted.
    """
    limits = [read(f"{directory}/memory.max") for directory in own_directories(root, VERSION_2)]
    limits += [read(f"{directory}/memory.limit_in_bytes") for directory in own_directories(root, "memory")]
    # "max" in version 2; version 1 says almost 2**63 when there is no limit.
    numbers = [int(text) for text in (limit.strip() for limit in limits) if text.isdecimal()]
    smallest = min((number for number in numbers if number > 0), default=None)
    total_kib = keyed_number(read(os.path.join(root, "proc/meminfo")), "MemTotal")
    is_absurd = smallest is not None and smallest > (total_kib * KIB if total_kib else 2**60)
    return None if is_absurd else smallest


def out_of_memory_kills(root: str = "/") -> int:
    """How many processes of this control group the kernel has killed because memory ran out, ever.

    A process that was ended by SIGKILL was one of them if the number has grown since it was last read.
    Outside of any group the number is that of the whole machine.
    """
    for hierarchy, file in ((VERSION_2, "memory.events"), ("memory", "memory.oom_control")):
        # Kills are counted where the victim lived, whichever ancestor's limit it was.
        for directory in own_directories(root, hierarchy)[:1]:
            kills = keyed_number(read(f"{directory}/{file}"), "oom_kill")
            if kills is not None:
                return kills
    return keyed_number(read(os.path.join(root, "proc/vmstat")), "oom_kill") or 0


def _from_rollup(text: str) -> Usage | None:
    sizes: dict[str, int] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == "kB" and words[1].isdecimal():
            sizes[words[0].rstrip(":")] = int(words[1]) * KIB
    if "Rss" not in sizes:
        return None
    private = sum(size for name, size in sizes.items() if name.startswith("Private_"))
    # A leak that is swapped out is still a leak.
    return Usage(private + sizes.get("SwapPss", 0), sizes.get("Pss", private), sizes["Rss"])


def _from_statm(text: str) -> Usage | None:
    """Resident without file pages: too much by what a fork still shares, too little by files of its own."""
    words = text.split()
    if len(words) < 3 or not all(word.isdecimal() for word in words[:3]):
        return None
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    resident, of_files = int(words[1]) * page_bytes, int(words[2]) * page_bytes
    if not resident:
        return None
    own = max(0, resident - of_files)
    return Usage(own, own, resident, is_estimate=True)
