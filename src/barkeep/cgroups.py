"""Where the limits of this process's control group are: its directories in cgroup v2 and v1 (cgroups(7)).

Containers and systemd units set their limits there. A limit of an ancestor holds as well.
"""

from __future__ import annotations

import os

# In /proc/self/cgroup and here: the one hierarchy of version 2, which has no controller in its name.
VERSION_2 = ""


def own_directories(root: str, controller: str) -> list[str]:
    """Directories of the group of this process and of its ancestors, as far up as they can be seen from here.

    root: where /proc and /sys are looked for. controller: VERSION_2, or one of version 1 such as "memory".
    Empty when there is no such hierarchy. On a machine that has both, a controller is in one of them only.
    """
    group = _own_group(root, controller)
    mount = _mount(root, controller)
    if group is None or mount is None:
        return []
    mounted, mount_point = mount
    # Without a cgroup namespace a container sees its path on the host, of which only its own part is mounted.
    inside = group[len(mounted) :] if _is_below(group, mounted) else ""
    # What lies outside a namespace is shown as "/../..": nothing of it can be seen.
    parts = [part for part in inside.split("/") if part]
    parts = [] if ".." in parts else parts
    top = root.rstrip("/") + mount_point
    return [os.path.join(top, *parts[:depth]) for depth in range(len(parts), -1, -1)]


def read(path: str) -> str:
    """The text of a small file of /proc or /sys; "" when there is none that can be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def keyed_number(text: str, key: str) -> int | None:
    """The number of a line such as "oom_kill 3" or "MemTotal:  2048 kB"; None when there is no such line."""
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0].rstrip(":") == key and words[1].isdecimal():
            return int(words[1])
    return None


def _own_group(root: str, controller: str) -> str | None:
    # "4:memory:/system.slice/shop.service", "3:cpu,cpuacct:/", and "0::/shop" for version 2.
    for line in read(os.path.join(root, "proc/self/cgroup")).splitlines():
        _number, _colon, rest = line.partition(":")
        controllers, _colon, group = rest.partition(":")
        if controller in controllers.split(","):
            return group
    return None


def _mount(root: str, controller: str) -> tuple[str, str] | None:
    """What part of the hierarchy is mounted, and where (proc_pid_mountinfo(5))."""
    for line in read(os.path.join(root, "proc/self/mountinfo")).splitlines():
        before, _dash, after = line.partition(" - ")
        places, kind = before.split(), after.split()
        if len(places) < 5 or len(kind) < 3:
            continue
        # The options of the last field name the controllers of version 1.
        is_it = kind[0] == "cgroup2" if controller == VERSION_2 else kind[0] == "cgroup"
        if is_it and (controller == VERSION_2 or controller in kind[2].split(",")):
            return _unescaped(places[3]), _unescaped(places[4])
    return None


def _is_below(path: str, directory: str) -> bool:
    directory = directory.rstrip("/")
    return path == directory or path.startswith(directory + "/")


def _unescaped(path: str) -> str:
    """Spaces, tabs, line feeds and backslashes in mountinfo are written as \\040 and so on."""
    for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(escape, character)
    return path
