"""cpus.py: CPUs by affinity and quota, and the workers that auto makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from barkeep.cpus import MOST_WORKERS, choose_workers, usable_cpus
from barkeep.errors import SettingError
from barkeep.settings import Settings
from tests.unit.fake_system import V1_CPU_MOUNT, V2_MOUNT, FakeSystem

MIB = 1024**2


@pytest.fixture
def system(tmp_path: Path) -> FakeSystem:
    return FakeSystem(tmp_path)


# -- CPUs ---------------------------------------------------------------------------------------------


def test_without_a_quota_the_affinity_counts(system: FakeSystem) -> None:
    assert usable_cpus(system.root, affinity=6) == 6


def test_this_process_has_a_cpu() -> None:
    assert usable_cpus() >= 1


@pytest.mark.parametrize(
    ("cpu_max", "cpus"),
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("20000 100000\n", 1),
        ("1600000 100000\n", 8),
        ("0 100000\n", 1),
        ("200000 0\n", 8),
        ("nonsense\n", 8),
        ("", 8),
    ],
)
def test_quota_of_version_2_is_rounded_up_and_never_above_the_affinity(
    system: FakeSystem, cpu_max: str, cpus: int
) -> None:
    system.in_group("0::/shop", V2_MOUNT)
    system.write("sys/fs/cgroup/shop/cpu.max", cpu_max)
    assert usable_cpus(system.root, affinity=8) == cpus


def test_smallest_quota_on_the_way_up_counts(system: FakeSystem) -> None:
    system.in_group("0::/shop/web/inner", V2_MOUNT)
    system.write("sys/fs/cgroup/shop/web/inner/cpu.max", "max 100000\n")
    system.write("sys/fs/cgroup/shop/web/cpu.max", "400000 100000\n")
    system.write("sys/fs/cgroup/shop/cpu.max", "150000 50000\n")
    assert usable_cpus(system.root, affinity=8) == 3


@pytest.mark.parametrize(("quota_us", "cpus"), [("-1", 8), ("250000", 3), ("100000", 1)])
def test_quota_of_version_1_is_read_from_its_two_files(system: FakeSystem, quota_us: str, cpus: int) -> None:
    system.in_group("3:cpu,cpuacct:/shop\n0::/", V1_CPU_MOUNT)
    system.write("sys/fs/cgroup/cpu,cpuacct/shop/cpu.cfs_quota_us", f"{quota_us}\n")
    system.write("sys/fs/cgroup/cpu,cpuacct/shop/cpu.cfs_period_us", "100000\n")
    assert usable_cpus(system.root, affinity=8) == cpus


# -- workers ------------------------------------------------------------------------------------------


def test_number_of_workers_that_is_named_is_taken() -> None:
    assert choose_workers(7, cpus=2, memory_limit_bytes=MIB, worker_bytes=50 * MIB) == 7


def test_auto_is_one_worker_for_each_cpu() -> None:
    assert choose_workers("auto", cpus=4, memory_limit_bytes=None, worker_bytes=50 * MIB) == 4


def test_auto_does_not_look_at_memory_before_it_knows_a_worker() -> None:
    assert choose_workers("auto", cpus=4, memory_limit_bytes=MIB, worker_bytes=None) == 4


@pytest.mark.parametrize(("limit_mib", "workers"), [(10_000, 4), (400, 4), (399, 3), (200, 2), (50, 1)])
def test_auto_leaves_room_for_the_other_generation_of_a_reload(limit_mib: int, workers: int) -> None:
    assert choose_workers("auto", 4, memory_limit_bytes=limit_mib * MIB, worker_bytes=50 * MIB) == workers


def test_auto_is_never_more_than_the_setting_takes() -> None:
    assert choose_workers("auto", cpus=1000, memory_limit_bytes=None, worker_bytes=None) == MOST_WORKERS
    assert Settings({"workers": (str(MOST_WORKERS), "test")}).workers == MOST_WORKERS
    with pytest.raises(SettingError):
        Settings({"workers": (str(MOST_WORKERS + 1), "test")})
