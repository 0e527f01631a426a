"""cgroups.py: the directories of a process's control group, in both versions, in containers and outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from barkeep.cgroups import VERSION_2, keyed_number, own_directories
from tests.unit.fake_system import V1_CPU_MOUNT, V1_MEMORY_MOUNT, V2_MOUNT, FakeSystem


@pytest.fixture
def system(tmp_path: Path) -> FakeSystem:
    return FakeSystem(tmp_path)


def test_version_2_group_and_its_ancestors_are_told_nearest_first(system: FakeSystem) -> None:
    system.in_group("0::/system.slice/shop.service", V2_MOUNT)
    top = f"{system.root}/sys/fs/cgroup"
    assert own_directories(system.root, VERSION_2) == [
        f"{top}/system.slice/shop.service",
        f"{top}/system.slice",
        top,
    ]


def test_version_1_controller_is_found_among_others_of_its_mount(system: FakeSystem) -> None:
    system.in_group("4:memory:/a\n3:cpu,cpuacct:/b\n0::/", V1_MEMORY_MOUNT, V1_CPU_MOUNT)
    top = f"{system.root}/sys/fs/cgroup"
    assert own_directories(system.root, "cpu") == [f"{top}/cpu,cpuacct/b", f"{top}/cpu,cpuacct"]
    assert own_directories(system.root, "memory") == [f"{top}/memory/a", f"{top}/memory"]


def test_container_without_a_namespace_sees_its_own_part_as_the_top(system: FakeSystem) -> None:
    mount = V1_MEMORY_MOUNT.replace(" / ", " /docker/4f ", 1)
    system.in_group("4:memory:/docker/4f/inner", mount)
    top = f"{system.root}/sys/fs/cgroup/memory"
    assert own_directories(system.root, "memory") == [f"{top}/inner", top]


@pytest.mark.parametrize("group", ["/../../init.scope", "/docker/other"])
def test_group_outside_of_what_is_mounted_leaves_the_mount_itself(system: FakeSystem, group: str) -> None:
    system.in_group(f"0::{group}", V2_MOUNT.replace(" / ", " /docker/4f ", 1))
    assert own_directories(system.root, VERSION_2) == [f"{system.root}/sys/fs/cgroup"]


def test_group_that_only_begins_like_the_mounted_part_is_outside_of_it(system: FakeSystem) -> None:
    system.in_group("0::/docker/4f0", V2_MOUNT.replace(" / ", " /docker/4f ", 1))
    assert own_directories(system.root, VERSION_2) == [f"{system.root}/sys/fs/cgroup"]


def test_spaces_in_a_mount_point_are_unescaped(system: FakeSystem) -> None:
    system.in_group("0::/", V2_MOUNT.replace("/sys/fs/cgroup", "/sys/my\\040groups"))
    assert own_directories(system.root, VERSION_2) == [f"{system.root}/sys/my groups"]


def test_colon_in_the_name_of_a_group_belongs_to_it(system: FakeSystem) -> None:
    system.in_group("0::/shop:blue", V2_MOUNT)
    assert own_directories(system.root, VERSION_2)[0] == f"{system.root}/sys/fs/cgroup/shop:blue"


def test_no_hierarchy_means_no_directories(system: FakeSystem) -> None:
    assert own_directories(system.root, VERSION_2) == []
    system.in_group("0::/", "nonsense", "30 23 0:26 / - cgroup2")
    assert own_directories(system.root, VERSION_2) == []


def test_number_of_a_key_is_read_with_and_without_a_colon() -> None:
    text = "oom 7\noom_kill 3\nMemTotal:   2048 kB\noom_group_kill max"
    assert keyed_number(text, "oom_kill") == 3
    assert keyed_number(text, "MemTotal") == 2048
    assert keyed_number(text, "oom_group_kill") is None
    assert keyed_number(text, "missing") is None
