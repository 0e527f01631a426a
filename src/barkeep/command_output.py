"""What the commands print: aligned tables for people. commands.py tells what the data is."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

KIB = 1024
MEMORY_UNITS = (("GiB", KIB**3), ("MiB", KIB**2), ("KiB", KIB))

# Characters of a path in the table of requests; --json has as much of it as the server keeps.
SHOWN_PATH_CHARS = 60

# What stands for "not known" and "none".
NOTHING = "-"


def show(command: str, data: dict[str, Any]) -> str:
    """The answer of a command as text without an end of line; "" when there is nothing to tell."""
    shower = SHOWERS.get(command)
    return shower(data) if shower else ""


def show_status(data: dict[str, Any]) -> str:
    """A line about the supervisor, its addresses, its last failed reload if any, and a table of workers."""
    workers = data["workers"]
    ready = sum(worker["state"] == "ready" for worker in workers)
    memory = show_memory(data["memory_bytes"])
    if data["memory_budget_bytes"] is not None:
        memory += f" of {show_memory(data['memory_budget_bytes'])}"
    lines = [
        f"{data['name']}: {data['state']}, generation {data['generation']}, "
        f"{ready} of {data['workers_wanted']} workers ready, memory {memory}",
        f"barkeep {data['version']} on Python {data['python']}, pid {data['pid']}, "
        f"up {show_age(data['uptime_s'])}",
        f"listening on {', '.join(data['listeners']) or NOTHING}",
    ]
    reload = data["last_reload"]
    if reload is not None and not reload["is_good"]:
        lines.append(
            f"last reload failed {show_age(reload['ago_s'])} ago: generation {reload['generation']}: "
            f"{reload['reason']}"
        )
    rows = [
        (
            worker["slot"],
            worker["pid"],
            worker["generation"],
            worker["state"],
            show_age(worker["age_s"]),
            worker["requests"],
            f"{worker['busy']}/{worker['threads']}",
            worker["quarantined"],
            worker["queued"],
            worker["connections"],
            worker["timed_out"],
            worker["aborted"],
            show_memory(worker["memory_bytes"]),
            show_latency(worker["application_p50_s"]),
            show_latency(worker["application_p99_s"]),
        )
        for worker in workers
    ]
    heads = (
        "SLOT", "PID", "GEN", "STATE", "AGE", "REQUESTS", "BUSY", "STUCK", "QUEUED", "CONNS", "TIMEOUTS",
        "ABORTED", "MEMORY", "APP P50", "APP P99",
    )  # fmt: skip
    return "\n".join([*map(plain, lines), "", show_table(heads, rows, left=("STATE",))])


def show_requests(data: dict[str, Any]) -> str:
    """A table of the requests under way, the oldest first."""
    if not data["requests"]:
        return "no request is under way"
    rows = [
        (
            request["id"],
            request["slot"],
            show_latency(request["age_s"]),
            request["phase"],
            request["client"],
            NOTHING if request["thread"] is None else request["thread"],
            request["method"],
            _cut(request["path"], SHOWN_PATH_CHARS),
        )
        for request in data["requests"]
    ]
    heads = ("ID", "SLOT", "AGE", "PHASE", "CLIENT", "THREAD", "METHOD", "PATH")
    table = show_table(heads, rows, left=("ID", "PHASE", "CLIENT", "METHOD", "PATH"))
    return f"{table}\nand {data['left_out']} more" if data["left_out"] else table


def show_stacks(data: dict[str, Any]) -> str:
    """The Python stacks of each worker, below a line that says whose."""
    parts = []
    for stack in data["stacks"]:
        text = "\n".join(plain(line) for line in stack["text"].rstrip().splitlines())
        parts.append(f"worker {stack['slot']}, pid {stack['pid']}:\n{text}")
    return "\n\n".join(parts) or "there is no worker"


def show_table(heads: Sequence[str], rows: Sequence[Sequence[object]], left: Sequence[str]) -> str:
    """Aligned columns, two spaces apart: those named in `left` to the left, the others to the right."""
    cells = [list(heads)] + [[plain(str(cell)) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    lines = []
    for row in cells:
        aligned = [
            cell.ljust(width) if head in left else cell.rjust(width)
            for head, cell, width in zip(heads, row, widths, strict=True)
        ]
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)


def show_age(seconds: float) -> str:
    """A time in the two units that matter: 12s, 5m 12s, 2h 05m, 3d 4h."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h {whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d {whole % 86_400 // 3600}h"


def show_latency(seconds: float | None) -> str:
    """A short time: 340us, 12ms, 1.2s, and from a minute on as an age."""
    if seconds is None:
        return NOTHING
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f}us"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.3g}ms"
    return f"{seconds:.1f}s" if seconds < 60 else show_age(seconds)


def show_memory(size_bytes: int | None) -> str:
    """A size in the largest unit it fills, as 45.2 MiB."""
    if size_bytes is None:
        return NOTHING
    for unit, unit_bytes in MEMORY_UNITS:
        if size_bytes >= unit_bytes:
            return f"{size_bytes / unit_bytes:.1f} {unit}"
    return f"{size_bytes} B"


def plain(text: str) -> str:
    """Text without control characters: what a peer has sent must not steer the terminal."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


SHOWERS: dict[str, Callable[[dict[str, Any]], str]] = {
    "status": show_status,
    "requests": show_requests,
    "stacks": show_stacks,
    "reload": lambda data: f"generation {data['generation']} serves",
    "upgrade": lambda data: f"the new supervisor is pid {data['pid']}",
    "scale": lambda data: f"{data['workers']} workers",
    "recycle": lambda data: f"the slot has a new worker, pid {data['pid']}",
    "stop": lambda data: (
        "stopped" if not data.get("aborted") else f"stopped; {data['aborted']} requests were cut"
    ),
}
