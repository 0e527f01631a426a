"""Steps 1 to 6 from outside - worker processes that share listeners and a scoreboard, without a supervisor.

`python -m tests.behaviour.workers JSON` is one worker: an engine and its application threads. It says
"started" on standard output, and ends when its standard input does.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

from barkeep._engine import Engine
from barkeep.scoreboard import Scoreboard
from barkeep.settings import Settings
from barkeep.wsgi import serve_exchanges
from tests.behaviour.applications import application
from tests.behaviour.clients import WAIT_S, Address
from tests.behaviour.processes import clean_environ

ROOT = Path(__file__).resolve().parents[2]


class Told(TypedDict):
    """What a worker is told."""

    place: int
    scoreboard: int
    # (descriptor, name, port)
    listener: tuple[int, str, str]
    health: tuple[int, str, str]
    waits_for_ready: bool
    settings: dict[str, object]


class WorkerProcess:
    """One worker as a test sees it. Whoever makes it closes it."""

    def __init__(self, told: Told, descriptors: list[int], environ: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.behaviour.workers", json.dumps(told)],
            cwd=ROOT,
            env=clean_environ(**environ),
            pass_fds=descriptors,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdin is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait_for(self, word: str) -> None:
        """Until it says this."""
        line = self._stdout.readline().decode().strip()
        assert line == word, f"the worker said {line!r} before {word!r}"

    def tell(self, command: str) -> None:
        """A method of its engine to call; it says "done" then."""
        self._stdin.write(f"{command}\n".encode())
        self._stdin.flush()
        self.wait_for("done")

    def halt(self) -> None:
        """SIGSTOP; returns when it stands still."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def go_on(self) -> None:
        """SIGCONT."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait(WAIT_S)
        self._stdin.close()
        self._stdout.close()


class Workers:
    """Workers on one listener, each with its place in one scoreboard. Whoever makes it closes it."""

    def __init__(self, gate: str) -> None:
        self.scoreboard = Scoreboard.create(8)
        self._gate = gate
        self._listener = open_socket()
        self._health = open_socket()
        self.address: Address = self._listener.getsockname()
        self.health_address: Address = self._health.getsockname()
        self.processes: list[WorkerProcess] = []

    def start(self, *, waits_for_ready: bool = False, **settings: object) -> WorkerProcess:
        """A further worker; returns once its engine runs."""
        told = Told(
            place=len(self.processes),
            scoreboard=self.scoreboard.fileno(),
            listener=(self._listener.fileno(), "127.0.0.1", str(self._listener.getsockname()[1])),
            health=(self._health.fileno(), "127.0.0.1", str(self._health.getsockname()[1])),
            waits_for_ready=waits_for_ready,
            settings=settings,
        )
        descriptors = [self.scoreboard.fileno(), self._listener.fileno(), self._health.fileno()]
        worker = WorkerProcess(told, descriptors, {"GATE": self._gate})
        self.processes.append(worker)
        worker.wait_for("started")
        return worker

    def close(self) -> None:
        """Kill all, and close what they shared."""
        for process in self.processes:
            process.close()
        self._listener.close()
        self._health.close()
        self.scoreboard.close()


def open_socket() -> socket.socket:
    """A listening socket, as listeners.py opens it."""
    listener = socket.socket()
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(2048)
    listener.setblocking(False)
    return listener


def work(told: Told) -> None:
    """Be a worker until standard input ends."""
    settings = Settings.from_kwargs(**told["settings"])
    engine = Engine(
        [told["listener"]],
        settings.engine_options(),
        health_listeners=[told["health"]],
        scoreboard_fd=told["scoreboard"],
        place=told["place"],
        slot=told["place"],
        generation=1,
    )
    engine.start(wait_for_ready=told["waits_for_ready"])
    say("started")
    for _ in range(settings.threads):
        threading.Thread(target=serve_exchanges, args=(engine, application), daemon=True).start()
    commands: dict[str, Callable[[], object]] = {
        "ready": engine.ready,
        "drain": engine.drain,
        "lame_duck": engine.lame_duck,
    }
    for line in sys.stdin:
        commands[line.strip()]()
        say("done")
    os._exit(0)


def say(word: str) -> None:
    """A line for the test."""
    print(word, flush=True)


if __name__ == "__main__":
    told: Told = json.loads(sys.argv[1])
    # JSON has no tuples.
    told["listener"] = (*told["listener"],)
    told["health"] = (*told["health"],)
    work(told)
