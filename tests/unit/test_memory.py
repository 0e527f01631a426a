"""memory.py: what processes use, what their group allows, whether memory ran out."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from barkeep.memory import group_bytes, memory_limit_bytes, out_of_memory_kills, usage
from tests.programs import skip_unless_ci
from tests.unit.fake_system import GIB, V1_MEMORY_MOUNT, V2_MOUNT, FakeSystem

MIB = 1024**2
PAGE = os.sysconf("SC_PAGE_SIZE")

ROLLUP = """56190649b000-7ffcf3332000 ---p 00000000 00:00 0                          [rollup]
Rss:               40960 kB
Pss:               20480 kB
Pss_Dirty:         10240 kB
Shared_Clean:      20480 kB
Private_Clean:      1024 kB
Private_Dirty:      8192 kB
Private_Hugetlb:    1024 kB
Swap:               4096 kB
SwapPss:            2048 kB
Locked:                0 kB
"""


@pytest.fixture
def system(tmp_path: Path) -> FakeSystem:
    return FakeSystem(tmp_path)


@pytest.fixture
def own_rollup() -> None:
    """The system tells what a process has to itself."""
    if not Path("/proc/self/smaps_rollup").exists():
        skip_unless_ci("this system has no /proc/self/smaps_rollup")


# -- one process, and several -------------------------------------------------------------------------


def test_private_memory_is_all_that_is_private_and_what_was_swapped_out(system: FakeSystem) -> None:
    system.write("proc/7/smaps_rollup", ROLLUP)
    used = usage(7, system.root)
    assert used is not None
    assert used.private == (1 + 8 + 1 + 2) * MIB
    assert used.pss == 20 * MIB
    assert used.rss == 40 * MIB
    assert not used.is_estimate


def test_process_that_may_not_be_looked_into_is_estimated_without_its_files(system: FakeSystem) -> None:
    # size resident shared text lib data dt, in pages
    system.write("proc/7/statm", "9000 1000 300 1 0 5000 0\n")
    used = usage(7, system.root)
    assert used is not None
    assert (used.private, used.rss) == (700 * PAGE, 1000 * PAGE)
    assert used.is_estimate
    assert "estimated" in repr(used)


@pytest.mark.parametrize("statm", ["", "0 0 0 0 0 0 0", "what is this"])
def test_process_of_which_nothing_is_told_has_no_usage(system: FakeSystem, statm: str) -> None:
    system.write("proc/7/statm", statm)
    assert usage(7, system.root) is None


def test_rollup_without_its_lines_has_no_usage(system: FakeSystem) -> None:
    system.write("proc/7/smaps_rollup", "nothing to see\n")
    assert usage(7, system.root) is None


def test_group_is_the_sum_of_shares_without_those_that_have_ended(system: FakeSystem) -> None:
    system.write("proc/7/smaps_rollup", ROLLUP)
    system.write("proc/8/smaps_rollup", ROLLUP)
    assert group_bytes([7, 8, 9], system.root) == 40 * MIB


@pytest.mark.usefixtures("own_rollup")
def test_this_process_is_measured() -> None:
    before = usage(os.getpid())
    # Of the system, and not of the allocator, which may have as much from earlier tests.
    with mmap.mmap(-1, 64 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:
        for page in range(0, len(held), mmap.PAGESIZE):
            held[page] = 1
        after = usage(os.getpid())
    assert before is not None
    assert after is not None
    assert after.private - before.private > 60 * MIB


if sys.platform == "linux":  # macOS has no /proc, and its Python no waitid

    @pytest.mark.usefixtures("own_rollup")
    def test_process_that_has_ended_and_was_not_waited_for_has_no_usage() -> None:
        with subprocess.Popen([sys.executable, "-c", ""]) as process:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            assert usage(process.pid) is None


# -- the limit ----------------------------------------------------------------------------------------


def test_limit_of_version_2_is_the_smallest_on_the_way_up(system: FakeSystem) -> None:
    system.in_group("0::/shop/web", V2_MOUNT)
    system.write("sys/fs/cgroup/shop/web/memory.max", "max\n")
    system.write("sys/fs/cgroup/shop/memory.max", f"{2 * GIB}\n")
    system.write("sys/fs/cgroup/memory.max", f"{4 * GIB}\n")
    assert memory_limit_bytes(system.root) == 2 * GIB


def test_limit_of_version_1_is_read_beside_an_empty_version_2(system: FakeSystem) -> None:
    unified = V2_MOUNT.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
    system.in_group("4:memory:/shop\n0::/", V1_MEMORY_MOUNT, unified)
    system.write("sys/fs/cgroup/memory/shop/memory.limit_in_bytes", f"{GIB}\n")
    system.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert memory_limit_bytes(system.root) == GIB


@pytest.mark.parametrize("text", ["max\n", "9223372036854771712\n", f"{17 * GIB}\n", "0\n", "", "-1\n"])
def test_limit_that_can_never_be_reached_is_none(system: FakeSystem, text: str) -> None:
    system.in_group("0::/", V2_MOUNT)
    system.write("sys/fs/cgroup/memory.max", text)
    assert memory_limit_bytes(system.root) is None


def test_limit_stands_when_the_memory_of_the_machine_is_not_known(system: FakeSystem) -> None:
    system.in_group("0::/", V2_MOUNT)
    system.write("proc/meminfo", "")
    system.write("sys/fs/cgroup/memory.max", f"{64 * GIB}\n")
    assert memory_limit_bytes(system.root) == 64 * GIB
    system.write("sys/fs/cgroup/memory.max", "9223372036854771712\n")
    assert memory_limit_bytes(system.root) is None


def test_system_without_proc_has_no_limit_and_no_kills(tmp_path: Path) -> None:
    assert memory_limit_bytes(str(tmp_path)) is None
    assert out_of_memory_kills(str(tmp_path)) == 0


# -- kills --------------------------------------------------------------------------------------------


def test_kills_of_version_2_are_those_of_the_own_group(system: FakeSystem) -> None:
    system.in_group("0::/shop", V2_MOUNT)
    system.write("sys/fs/cgroup/memory.events", "oom_kill 9\n")
    system.write("sys/fs/cgroup/shop/memory.events", "low 0\nhigh 0\nmax 12\noom 2\noom_kill 1\n")
    assert out_of_memory_kills(system.root) == 1


def test_kills_of_version_1_are_in_its_own_file(system: FakeSystem) -> None:
    system.in_group("4:memory:/shop", V1_MEMORY_MOUNT)
    text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
    system.write("sys/fs/cgroup/memory/shop/memory.oom_control", text)
    assert out_of_memory_kills(system.root) == 3


def test_kills_outside_of_any_group_are_those_of_the_machine(system: FakeSystem) -> None:
    system.in_group("0::/", V2_MOUNT)
    system.write("proc/vmstat", "nr_free_pages 1\noom_kill 5\n")
    assert out_of_memory_kills(system.root) == 5
