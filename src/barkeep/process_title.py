"""What ps and top call our processes: the short name always, the whole title with the `title` extra."""

from __future__ import annotations

# The kernel keeps 15 bytes of a name and an end (prctl(2), PR_SET_NAME).
SHORT_NAME_BYTES = 15


def supervisor_title(name: str) -> str:
    """As "barkeep: supervisor shop"."""
    return f"barkeep: supervisor {name}"


def zygote_title(generation: int) -> str:
    """As "barkeep: zygote gen 7"."""
    return f"barkeep: zygote gen {generation}"


def worker_title(slot: int, generation: int) -> str:
    """As "barkeep: worker 0 gen 7"."""
    return f"barkeep: worker {slot} gen {generation}"


def set_title(title: str, comm: str = "/proc/self/comm") -> None:
    """Give this process its title; call it from the main thread. Where the system cannot, nothing happens.

    comm: the kernel's file for the short name; for tests.
    """
    try:
        from setproctitle import setproctitle
    except ImportError:
        _set_short_name(title, comm)
    else:
        setproctitle(title)


def _set_short_name(title: str, comm: str) -> None:
    try:
        with open(comm, "wb", buffering=0) as file:
            file.write(title.encode("utf-8", "replace")[:SHORT_NAME_BYTES])
    except OSError:
        # No Linux, or no /proc in this container: the name stays what it was.
        pass
