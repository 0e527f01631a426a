"""A root directory with the files of /proc and /sys that a test names: no test depends on its machine."""

from __future__ import annotations

from pathlib import Path

GIB = 1024**3

V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1_MEMORY_MOUNT = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
V1_CPU_MOUNT = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"


class FakeSystem:
    """`root` is given to the code under test. Unless told otherwise the machine has 16 GiB."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.root = str(directory)
        self.write("proc/meminfo", f"MemTotal:       {16 * GIB // 1024} kB\nMemFree:  1 kB\n")

    def write(self, path: str, text: str) -> None:
        file = self._directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def in_group(self, group: str, *mounts: str) -> None:
        """This process is in these control groups: the lines of its two files in /proc."""
        self.write("proc/self/cgroup", f"{group}\n")
        self.write("proc/self/mountinfo", "\n".join(mounts) + "\n")
