"""How each server is started: one worker, default threads unless the workload says so, access log off."""

from __future__ import annotations

import dataclasses
import os
import pathlib

from rendering import render_floor_answer
from workloads import Workload

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE / "build"

# gunicorn's default of one thread would make its thread pool pointless; 4 is what the field notes measured.
GUNICORN_THREADS = 4


@dataclasses.dataclass(frozen=True)
class Places:
    """Where the interpreters are: the peers' own environment, and the one Barkeep is installed in."""

    peers_python: pathlib.Path
    peers_site_packages: pathlib.Path
    barkeep_python: pathlib.Path


def command_line(server: str, workload: Workload, port: int, places: Places) -> list[str]:
    """The words that start `server` for `workload` on 127.0.0.1:`port`."""
    tools = places.peers_python.parent
    bind = f"127.0.0.1:{port}"
    threads = workload.threads
    module, name = workload.app.split(":")
    match server:
        case "floor":
            return _floor_command(workload, port)
        case "bjoern" | "fastwsgi":
            return [str(places.peers_python), str(HERE / "launch.py"), server, str(port), module, name]
        case "granian":
            words = f"--interface wsgi --host 127.0.0.1 --port {port} --workers 1"
            quiet = ["--no-access-log", "--log-level", "error"]
            return [
                str(tools / "granian"),
                *words.split(),
                *quiet,
                *_option("--blocking-threads", threads),
                workload.app,
            ]
        case "gunicorn":
            words = f"-k gthread -w 1 --threads {threads or GUNICORN_THREADS} -b {bind} --log-level error"
            return [str(tools / "gunicorn"), *words.split(), workload.app]
        case "waitress":
            return [
                str(tools / "waitress-serve"),
                f"--listen={bind}",
                *_option("--threads", threads),
                workload.app,
            ]
        case "uwsgi":
            # The http router gives uWSGI keep-alive without a thread per connection. It is one more process,
            # and counts.
            words = (
                f"--http {bind} --http-keepalive=1 --http-auto-chunked --module {workload.app} --processes 1"
            )
            more = "--enable-threads --disable-logging --need-app --single-interpreter"
            last = ["--die-on-term", "--listen", "1024"]
            return [
                str(tools / "uwsgi"),
                *words.split(),
                *more.split(),
                *last,
                *_option("--threads", threads),
            ]
        case "barkeep":
            words = f"-m barkeep -b {bind} --log-level error"
            return [str(places.barkeep_python), *words.split(), *_option("--threads", threads), workload.app]
    raise ValueError(f'no server is called "{server}"')


def _option(flag: str, value: int | None) -> list[str]:
    return [] if value is None else [f"{flag}={value}"]


def _floor_command(workload: Workload, port: int) -> list[str]:
    answer = BUILD / f"{workload.name}.answer"
    answer.write_bytes(render_floor_answer(workload))
    command = [str(BUILD / "floor"), str(port), str(answer)]
    return [*command, "close"] if workload.lanes[0].one_request_per_connection else command


def environment_for(server: str, workload: Workload, places: Places) -> dict[str, str]:
    """The process environment: the applications can be imported, and no setting of the caller leaks in.

    Barkeep borrows the peers' frameworks, so that all run the same Flask, Django and Falcon; only for those
    workloads, because a longer import path costs start-up time.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BARKEEP_", "PYTHON", "PORT"))
    }
    path = [str(HERE)]
    if server == "barkeep" and workload.app.startswith("app_"):
        path.append(str(places.peers_site_packages))
    return {**kept, "PYTHONPATH": os.pathsep.join(path)}
