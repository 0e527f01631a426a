"""Measure Barkeep against its peers on this machine; README.md explains how and what the figures mean."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import resource
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable

from environment import SetUpError, prepare, versions
from measure import CheckError, Conditions, Measurement, measure
from probes import measure_idle, measure_start
from processes import ServerError
from report import Cell, Row, summary, workload_table
from servers import HERE, Places
from workloads import PEERS, WORKLOADS, Workload, find_workload

ALL_SERVERS = ("floor", *PEERS, "barkeep")
OPEN_FILES_NEEDED = 12_000
MEASURES: dict[str, Callable[[str, Workload, Conditions], Measurement]] = {
    "load": measure,
    "idle": measure_idle,
    "start": measure_start,
}


def read_words() -> argparse.Namespace:
    """The command line. A wrong name ends with exit code 2 and the names there are."""
    parser = argparse.ArgumentParser(
        description="Measure Barkeep against its peers. See benchmarks/README.md."
    )
    names = ",".join(workload.name for workload in WORKLOADS)
    parser.add_argument("--workloads", default=names, help=f"comma-separated; default all: {names}")
    parser.add_argument(
        "--servers",
        default=",".join(ALL_SERVERS),
        help=f"comma-separated; default all: {','.join(ALL_SERVERS)}",
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="rounds of each, interleaved server by server (default 5)"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="measured seconds of a round (default 3)")
    parser.add_argument(
        "--barkeep-python",
        type=pathlib.Path,
        default=HERE.parent / ".venv/bin/python",
        help="interpreter with Barkeep",
    )
    parser.add_argument("--server-core", type=int, default=0, help="core of the server (default 0)")
    parser.add_argument("--load-core", type=int, default=1, help="core of the load generator (default 1)")
    parser.add_argument(
        "--json", type=pathlib.Path, help="result file (default benchmarks/results/DATE-TIME.json)"
    )
    parser.add_argument("--plot", type=pathlib.Path, help="draw the medians into this PNG file")
    words = parser.parse_args()
    for name in words.workloads.split(","):
        if find_workload(name) is None:
            parser.error(f'--workloads: there is no "{name}"; choose from {names}')
    for name in words.servers.split(","):
        if name not in ALL_SERVERS:
            parser.error(f'--servers: there is no "{name}"; choose from {",".join(ALL_SERVERS)}')
    if not (words.rounds >= 1 and 0.1 <= words.seconds <= 600):
        parser.error("--rounds must be 1 or more and --seconds from 0.1 to 600")
    cores = os.sched_getaffinity(0)
    if words.server_core == words.load_core or not {words.server_core, words.load_core} <= cores:
        parser.error(f"--server-core and --load-core must be two different cores of {sorted(cores)}")
    return words


def usable_servers(asked: list[str], missing: dict[str, str], places: Places) -> list[str]:
    """Leave out what cannot run and say why on stderr. Raises SetUpError when nothing is left."""
    reasons = dict(missing)
    if not places.barkeep_python.exists():
        reasons["barkeep"] = (
            f"{places.barkeep_python} does not exist; build Barkeep, or name another with --barkeep-python"
        )
    for name in asked:
        if name in reasons:
            print(f"without {name}: {reasons[name]}", file=sys.stderr)
    usable = [name for name in asked if name not in reasons]
    if not usable:
        raise SetUpError("no server is left to measure")
    return usable


def run_workload(workload: Workload, servers: list[str], rounds: int, conditions: Conditions) -> Row:
    """All rounds of one workload, server by server in each round: a slow minute hits all alike."""
    row: Row = {name: Cell() for name in servers if name in workload.servers}
    for number in range(rounds):
        for name, cell in row.items():
            if cell.failure:
                continue
            print(
                f"{workload.name}, round {number + 1} of {rounds}: {name}          ",
                end="\r",
                file=sys.stderr,
                flush=True,
            )
            try:
                cell.rounds.append(MEASURES[workload.kind](name, workload, conditions).figures)
            except (ServerError, CheckError) as error:
                cell.failure = str(error)
    return row


def describe_machine(places: Places) -> dict[str, str]:
    """Where, when, with what: a figure without these is a rumour."""
    cpu_lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next(
        (line.partition(":")[2].strip() for line in cpu_lines if line.startswith("model name")),
        platform.machine(),
    )
    commit = subprocess.run(
        ["git", "-C", str(HERE), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": cpu,
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "load average at start": f"{os.getloadavg()[0]:.2f}",
        "commit": commit.stdout.strip() or "none",
        **versions(places),
    }


def write_results(path: pathlib.Path, machine: dict[str, str], command: str, rows: dict[str, Row]) -> None:
    """The JSON file: every figure of every round. Written after each workload: a stopped run is not lost."""
    path.parent.mkdir(parents=True, exist_ok=True)
    workloads = {
        name: {server: dataclasses.asdict(cell) for server, cell in row.items()} for name, row in rows.items()
    }
    path.write_text(
        json.dumps({"machine": machine, "command": command, "workloads": workloads}, indent=1) + "\n"
    )


def draw(python: pathlib.Path, result: pathlib.Path, picture: pathlib.Path) -> None:
    """Run plot.py where matplotlib is. A failure is told, and costs no figures: they are written by now."""
    drawn = subprocess.run([str(python), str(HERE / "plot.py"), str(result), str(picture)], check=False)
    print(f"plot: {picture}" if drawn.returncode == 0 else "the plot could not be drawn", file=sys.stderr)


def main() -> int:
    """Exit 0: measured, whatever the bars say; 2: wrong words or something this machine lacks."""
    words = read_words()
    # Leave by an exception, so that the server being measured is stopped too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, OPEN_FILES_NEEDED)), hard))
    try:
        # Not resolved: a venv's python is a link, and only its own path brings its packages.
        places, missing = prepare(words.barkeep_python.absolute())
        servers = usable_servers(words.servers.split(","), missing, places)
    except SetUpError as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 2
    machine = describe_machine(places)
    command = "python3 benchmarks/run.py " + shlex.join(sys.argv[1:])
    print("# Benchmark\n\n" + "\n".join(f"- {name}: {value}" for name, value in machine.items()))
    print(f"- command: `{command}`")
    print(f"- {words.rounds} rounds of {words.seconds:g} s; medians; spread = (highest - lowest) / median\n")
    now = datetime.datetime.now(datetime.timezone.utc)
    result = words.json or HERE / "results" / f"{now:%Y%m%d-%H%M%S}.json"
    conditions = Conditions(places, words.server_core, words.load_core, words.seconds)
    rows: dict[str, Row] = {}
    chosen = [workload for workload in WORKLOADS if workload.name in words.workloads.split(",")]
    for workload in chosen:
        rows[workload.name] = run_workload(workload, servers, words.rounds, conditions)
        print(workload_table(workload, rows[workload.name]), flush=True)
        write_results(result, machine, command, rows)
    print(summary(rows, chosen))
    print(f"result file: {result}", file=sys.stderr)
    if words.plot:
        draw(places.peers_python, result, words.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
