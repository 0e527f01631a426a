"""From rounds to tables: medians, spread, ratios to the floor and the best peer, bars met or not met."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable

from workloads import PEERS, Bar, Workload

SUBJECT = "barkeep"
# Two runs of the same server differ by this much on a quiet machine; a smaller difference says nothing.
NOISE = 0.05
# Linux delays an ACK by 40 ms; a server that sends twice without TCP_NODELAY waits for it.
STALL_MS = 40.0
STALL_BUSY = 0.5
# A server that waits costs more CPU per request: below this share of its core it was not filled.
BUSY_WARNING = 0.9
# Others on the server's core cool its caches and lengthen its tail latency.
FOREIGN_WARNING = 0.1
# Counts that must be zero; with one of them no bar is met, however cheap the rest was.
LOSSES = {
    "unanswered": "requests never got an answer",
    "connections_never_answered": "connections never got an answer",
    "not_sent": "due requests could not be sent: no connection was free",
    "not_closed": "connections were left open after Connection: close",
    "connect_failures": "connections failed",
}


@dataclasses.dataclass
class Cell:
    """All rounds of one server in one workload, or why it has none: one failed round ends the cell."""

    rounds: list[dict[str, float]] = dataclasses.field(default_factory=list)
    failure: str = ""

    def median(self, figure: str) -> float | None:
        """The median of the rounds, or None when this server has no such figure."""
        values = [numbers[figure] for numbers in self.rounds if figure in numbers]
        return statistics.median(values) if values and not self.failure else None

    def spread(self, figure: str) -> float:
        """(highest - lowest) / median; 0 for a single round."""
        values = [numbers[figure] for numbers in self.rounds if figure in numbers]
        middle = statistics.median(values) if values else 0
        return (max(values) - min(values)) / middle if middle else 0.0


Row = dict[str, Cell]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One bar: what was found, what was allowed, and whether that is enough. `text` is for the reader."""

    is_met: bool | None
    text: str


def judge(bar: Bar, row: Row) -> Verdict:
    """Compare Barkeep with one bar. is_met is None when there is nothing to compare."""
    subject = row.get(SUBJECT)
    found = subject.median(bar.metric) if subject else None
    if found is None:
        return Verdict(
            None,
            f"{bar.metric}: not measured{f' ({subject.failure})' if subject and subject.failure else ''}",
        )
    if subject and (losses := _losses(subject)):
        lost = "; ".join(f"{count:,.0f} {meaning}" for meaning, count in losses.items())
        return Verdict(False, f"{bar.metric} {found:.4g}, but {lost}: NOT MET")
    if not bar.against:
        is_met = found >= bar.limit if bar.at_least else found <= bar.limit
        return Verdict(
            is_met,
            f"{bar.metric} {found:.4g}, bar {'>=' if bar.at_least else '<='} {bar.limit:g}: {_word(is_met)}",
        )
    best = best_of(row, bar.metric, bar.against)
    if best is None:
        return Verdict(
            None, f"{bar.metric} {found:.4g}: none of {', '.join(bar.against)} was measured, so no bar"
        )
    name, reference = best
    ratio = found / reference if reference else float("inf")
    is_met = ratio <= bar.limit
    noise = "" if is_met or ratio > bar.limit * (1 + NOISE) else " (within noise)"
    return Verdict(
        is_met, f"{bar.metric} {ratio:.2f}x {name}, bar <= {bar.limit:.2f}x: {_word(is_met)}{noise}"
    )


def _word(is_met: bool) -> str:
    return "MET" if is_met else "NOT MET"


def best_of(row: Row, figure: str, names: tuple[str, ...]) -> tuple[str, float] | None:
    """The server with the lowest median among `names`, and that median."""
    medians = [
        (value, name) for name in names if name in row and (value := row[name].median(figure)) is not None
    ]
    if not medians:
        return None
    value, name = min(medians)
    return name, value


def workload_table(workload: Workload, row: Row) -> str:
    """A markdown table of one workload with its bars below."""
    lines = [f"### {workload.name}: {workload.title}", ""]
    lines += _load_table(workload, row) if workload.kind != "start" else _start_table(row)
    lines.append("")
    lines += [f"- {verdict.text}" for bar in workload.bars for verdict in [judge(bar, row)]]
    for name, cell in row.items():
        lines += [f"- {name}: {note}" for note in _notes(cell)]
    lines += _doubts(workload, row)
    return "\n".join(lines) + "\n"


def _load_table(workload: Workload, row: Row) -> list[str]:
    paths = list(dict.fromkeys(request.name for lane in workload.lanes for request in lane.requests))
    latency = [f"{kind} {path} ms" for path in paths for kind in ("p50", "p99")]
    idle = ["idle KiB each", "hello beside", "still open"] if workload.kind == "idle" else []
    titles = [
        "server",
        "CPU us/req",
        "spread",
        "x floor",
        "x best peer",
        "req/s",
        *latency,
        "busy",
        "others",
        "PSS MiB",
        *idle,
    ]
    lines = ["| " + " | ".join(titles) + " |", "|---" + "|---:" * (len(titles) - 1) + "|"]
    floor = best_of(row, "cpu_us", ("floor",))
    best = best_of(row, "cpu_us", PEERS)
    for name, cell in row.items():
        cpu_us = cell.median("cpu_us")
        if cpu_us is None:
            continue
        cells = [
            name,
            f"{cpu_us:.2f}",
            f"{cell.spread('cpu_us'):.0%}",
            _ratio(cpu_us, floor),
            _ratio(cpu_us, best),
        ]
        cells.append(_number(cell, "per_s", ",.0f"))
        cells += [_number(cell, f"{kind}_ms:{path}", ".3f") for path in paths for kind in ("p50", "p99")]
        cells += [
            _number(cell, "busy", ".0%"),
            _number(cell, "foreign", ".0%"),
            _number(cell, "pss_mib", ".1f"),
        ]
        if idle:
            cells += [
                _number(cell, "idle_kib", ".2f"),
                _number(cell, "idle_cost", ".2f") + "x",
                _number(cell, "idle_still_open", ".0%"),
            ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _start_table(row: Row) -> list[str]:
    lines = ["| server | start ms | spread | worker RSS MiB | all PSS MiB |", "|---|---:|---:|---:|---:|"]
    for name, cell in row.items():
        if cell.median("start_ms") is None:
            continue
        cells = [name, _number(cell, "start_ms", ".1f"), f"{cell.spread('start_ms'):.0%}"]
        cells += [_number(cell, "worker_mib", ".1f"), _number(cell, "pss_mib", ".1f")]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _ratio(value: float, reference: tuple[str, float] | None) -> str:
    return f"{value / reference[1]:.2f}" if reference and reference[1] else "-"


def _number(cell: Cell, figure: str, form: str) -> str:
    value = cell.median(figure)
    return "-" if value is None else format(value, form)


def _notes(cell: Cell) -> list[str]:
    """Why there are no figures, or what went missing; counts are sums over the rounds."""
    if cell.failure:
        return [f"no figures: {cell.failure}"]
    return [f"{count:,.0f} {meaning}" for meaning, count in _losses(cell).items()]


def _losses(cell: Cell) -> dict[str, float]:
    totals = {figure: sum(numbers.get(figure, 0) for numbers in cell.rounds) for figure in LOSSES}
    return {LOSSES[figure]: total for figure, total in totals.items() if total}


def _doubts(workload: Workload, row: Row) -> list[str]:
    """What a reader must know before believing the figures of this table."""
    foreign = _where(row, "foreign", lambda share: share > FOREIGN_WARNING)
    lines = (
        [f"- others used the server's core beside {foreign}: repeat on a quiet machine"] if foreign else []
    )
    if workload.saturates:
        idle = _where(row, "busy", lambda share: share < BUSY_WARNING)
        if idle:
            lines.append(f"- not filled by the load, so that CPU per request is an upper bound: {idle}")
        for figure in _latency_figures(workload):
            stalled = [name for name, cell in row.items() if _stalls(cell, figure)]
            if stalled:
                lines.append(
                    f"- stalls of 40 ms (Nagle's algorithm against delayed ACK): {', '.join(stalled)}"
                )
    return lines


def _stalls(cell: Cell, figure: str) -> bool:
    """A long tail on an idle core is a stall; on a full one it is a queue."""
    busy, p99_ms = cell.median("busy"), cell.median(figure)
    return busy is not None and p99_ms is not None and busy < STALL_BUSY and p99_ms >= STALL_MS


def _where(row: Row, figure: str, is_doubtful: Callable[[float], bool]) -> str:
    shares = {name: share for name, cell in row.items() if (share := cell.median(figure)) is not None}
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.items() if is_doubtful(share))


def _latency_figures(workload: Workload) -> list[str]:
    return [f"p99_ms:{request.name}" for lane in workload.lanes for request in lane.requests]


def summary(rows: dict[str, Row], workloads: list[Workload]) -> str:
    """Every bar on one screen."""
    lines = ["## Bars", "", "| workload | bar | verdict |", "|---|---|---|"]
    for workload in workloads:
        row = rows.get(workload.name, {})
        is_noisy = bool(_where(row, "foreign", lambda share: share > FOREIGN_WARNING))
        for bar in workload.bars:
            verdict = judge(bar, row)
            word = (
                "-"
                if verdict.is_met is None
                else _word(verdict.is_met).lower() + (", noisy" if is_noisy else "")
            )
            lines.append(f"| {workload.name} | {verdict.text} | {word} |")
    return "\n".join(lines) + "\n"
