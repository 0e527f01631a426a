"""One round of one workload on one server: start, check, load, read CPU and memory, stop."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import select
import subprocess
import time
from typing import Any

from processes import (
    Memory,
    Server,
    ServerError,
    core_seconds,
    cpu_seconds,
    memory,
    on_core,
    process_tree,
    running,
    wait_for_answer,
)
from rendering import render_lane_request, render_request
from servers import BUILD, Places
from workloads import Lane, Workload

# A server may be slow to answer under load, but never this slow; also the limit for draining after a phase.
ANSWER_TIMEOUT_S = 3.0
WARM_UP_S = 0.4
GRACE_S = 40.0


class CheckError(Exception):
    """The server's answers are wrong, so its figures would mean nothing."""


@dataclasses.dataclass(frozen=True)
class Conditions:
    """What all rounds share: where the programs are, which cores are used, how long one round lasts."""

    places: Places
    server_core: int
    load_core: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Figures of one round by name, with the unit in the name; each path has p50_ms:PATH and p99_ms:PATH."""

    figures: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Usage:
    """Seconds from "go" to the report: of the server's tree, of everybody on its core, and on the wall."""

    server_cpu_s: float
    core_s: float
    wall_s: float


def measure(server_name: str, workload: Workload, conditions: Conditions) -> Measurement:
    """Run one round. Raises ServerError (no start, died) or CheckError (wrong answers)."""
    with running(server_name, workload, conditions.places, conditions.server_core) as server:
        wait_until_ready(server, workload)
        return load(server, workload, conditions)


def wait_until_ready(server: Server, workload: Workload) -> float:
    """Ask for the workload's first path on a connection of its own. Returns seconds since the start."""
    return wait_for_answer(server, render_request(workload.lanes[0].requests[0], closes=True))


def load(server: Server, workload: Workload, conditions: Conditions) -> Measurement:
    """Drive the running server with loadgen; its CPU is read right before and after the measured phase."""
    with on_core(conditions.load_core):
        command = loadgen_command(server.port, workload, conditions.seconds)
        loadgen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        ready = _read_line(loadgen, WARM_UP_S + 2 * ANSWER_TIMEOUT_S + GRACE_S)
        if ready != "ready":
            _raise_if_ended(server)
            raise CheckError(json.loads(ready)["check_failed"])
        tree = process_tree(server.process.pid)
        cpu_before_s, core_before_s = cpu_seconds(tree), core_seconds(conditions.server_core)
        wall_before_s = time.perf_counter()
        _tell(loadgen, "go")
        report = json.loads(_read_line(loadgen, conditions.seconds + 2 * ANSWER_TIMEOUT_S + GRACE_S))
        cpu_s = cpu_seconds(tree) - cpu_before_s
        core_s = core_seconds(conditions.server_core) - core_before_s
        wall_s = time.perf_counter() - wall_before_s
    finally:
        loadgen.kill()
        loadgen.communicate()
    _raise_if_ended(server)
    if report["wrong"] or not report["answered"]:
        raise CheckError(
            f"{report['wrong']} wrong of {report['answered']} answers: {report['complaint'] or 'none came'}"
        )
    return Measurement(_figures(report, Usage(cpu_s, core_s, wall_s), memory(tree)))


def _raise_if_ended(server: Server) -> None:
    """A negative return code is the signal: -11 is a crash (SIGSEGV)."""
    if server.process.poll() is not None:
        raise ServerError(
            f"{server.name} ended with {server.process.returncode} under load. {server.log_tail()}"
        )


def _figures(report: dict[str, Any], usage: Usage, size: Memory) -> dict[str, float]:
    figures = {
        "cpu_us": usage.server_cpu_s / report["answered"] * 1e6,
        "per_s": report["answered_in_window"] / report["elapsed_s"],
        "busy": usage.server_cpu_s / usage.wall_s,
        # Ticks of /proc/stat are coarse, so a little below zero is possible and means nobody else ran.
        "foreign": max(0.0, (usage.core_s - usage.server_cpu_s) / usage.wall_s),
        "pss_mib": size.tree_pss_mib,
        "worker_mib": size.worker_rss_mib,
    }
    for name in (
        "answered",
        "unanswered",
        "not_sent",
        "not_closed",
        "reconnects",
        "connect_failures",
        "connections_never_answered",
    ):
        figures[name] = float(report[name])
    for path, latency in report["paths"].items():
        figures[f"p50_ms:{path}"] = latency["p50_us"] / 1000
        figures[f"p99_ms:{path}"] = latency["p99_us"] / 1000
    return figures


def loadgen_command(port: int, workload: Workload, seconds: float) -> list[str]:
    """Write the requests and expected bodies as files; return the words that start loadgen with them."""
    command = [str(BUILD / "loadgen"), "--port", str(port), "--seconds", str(seconds),
               "--warmup", str(WARM_UP_S), "--timeout", str(ANSWER_TIMEOUT_S)]  # fmt: skip
    for number, lane in enumerate(workload.lanes):
        command += [
            "--lane",
            str(lane.connections),
            "--depth",
            str(lane.depth),
            "--rate",
            str(lane.rate_per_s),
        ]
        if lane.one_request_per_connection:
            command.append("--close")
        command += _path_words(workload.name, number, lane)
    return command


def _path_words(workload_name: str, lane_number: int, lane: Lane) -> list[str]:
    words: list[str] = []
    for request in lane.requests:
        stem = BUILD / f"{workload_name}-{lane_number}-{request.name}"
        request_file, body_file = pathlib.Path(f"{stem}.request"), pathlib.Path(f"{stem}.body")
        requests, bodies = render_lane_request(lane, request)
        request_file.write_bytes(requests)
        body_file.write_bytes(bodies)
        words += ["--path", request.name, str(request.weight), str(request_file), "200", str(body_file)]
    return words


def _tell(loadgen: subprocess.Popen[str], line: str) -> None:
    assert loadgen.stdin is not None  # opened as a pipe above
    loadgen.stdin.write(line + "\n")
    loadgen.stdin.flush()


def is_readable(descriptor: int, timeout_s: float) -> bool:
    """Whether bytes or the end wait on a descriptor. poll(2), because select(2) ends at descriptor 1023."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def _read_line(loadgen: subprocess.Popen[str], timeout_s: float) -> str:
    """One line of loadgen's output. Raises CheckError when it says nothing in time; its alarm is later."""
    assert loadgen.stdout is not None  # opened as a pipe above
    if not is_readable(loadgen.stdout.fileno(), timeout_s):
        raise CheckError(f"the load generator said nothing for {timeout_s:.0f} s")
    line = loadgen.stdout.readline().strip()
    if not line:
        raise CheckError(f"the load generator ended with {loadgen.wait()} and said nothing")
    return line
