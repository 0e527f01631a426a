"""Steps 1 to 6 from outside - a directory with an application that a test rewrites, and its server."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from tests.behaviour.clients import WAIT_S
from tests.behaviour.processes import ServerProcess, clean_environ

# Answers its version and the process that served.
GOOD = """
import os

def app(environ, start_response):
    start_response({status!r}, [("Content-Type", "text/plain")])
    return [b"{version} %d" % os.getpid()]
"""

# For a module that waits at a gate.
WITH_GATES = (
    f"import os, sys; sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r})\n"
    "from tests.behaviour.gates import wait_at\n"
)


def good(version: str, status: str = "200 OK") -> str:
    """A module with an application that answers its version, a space and its process id."""
    return GOOD.format(version=version, status=status)


class Deployment:
    """A module `site_under_test.py` in a directory. What it starts is closed by `cleanup`."""

    MODULE = "site_under_test"

    def __init__(self, directory: Path, cleanup: ExitStack) -> None:
        self.directory = directory
        self.control = directory / "control"
        self._cleanup = cleanup
        self.write(good("first"))

    def write(self, source: str) -> None:
        """Put another version in place of the module."""
        (self.directory / f"{self.MODULE}.py").write_text(source)

    def start(self, *options: str, before: tuple[str, ...] = (), **more: str) -> ServerProcess:
        """Run it, with a control socket, on a port that the kernel chooses. more: of the environment."""
        return self.run(
            f"{self.MODULE}:app", "--bind", "127.0.0.1:0", "--control-socket", str(self.control),
            "--settle-time", "0", *options, before=before, **more,
        )  # fmt: skip

    def run(self, *words: str, before: tuple[str, ...] = (), **more: str) -> ServerProcess:
        """Run barkeep with exactly these words, in the directory."""
        # Without bytecode, a module rewritten within one tick of the clock is not taken from its cache.
        environ = clean_environ(PYTHONDONTWRITEBYTECODE="1", **more)
        server = ServerProcess(*words, environ=environ, cwd=self.directory, before=before)
        return self._cleanup.enter_context(closing(server))

    def command(self, name: str, **arguments: object) -> dict[str, Any]:
        """The last line that the supervisor answers a command with."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(WAIT_S)
            connection.connect(str(self.control))
            connection.sendall(json.dumps({"command": name, "arguments": arguments}).encode() + b"\n")
            with connection.makefile() as lines:
                answers = [json.loads(line) for line in lines]
        last: dict[str, Any] = answers[-1]
        assert last["done"], answers
        return last

    def status(self) -> dict[str, Any]:
        """What `barkeep status` is told."""
        data: dict[str, Any] = self.command("status")["data"]
        return data

    def barkeep(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command as an operator types it, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "barkeep", *words, "--control-socket", str(self.control)],
            capture_output=True,
            text=True,
            check=False,
            env=clean_environ(),
            timeout=WAIT_S,
        )
