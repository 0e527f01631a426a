"""Fixtures of the behaviour tests: servers in this process and in others, clients, gates; closed after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

import barkeep
from tests.behaviour.clients import Address, Client
from tests.behaviour.deployments import Deployment
from tests.behaviour.gates import Gate
from tests.behaviour.processes import APPLICATION, ServerProcess, clean_environ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from tests.behaviour.kinds import Connect, Serve, Spawn


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    """Closes what a test opened, the newest first."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def serve(cleanup: ExitStack) -> Serve:
    """Start a server in this process; settings as in barkeep.Server."""

    def start(application: WSGIApplication, **settings: object) -> barkeep.Server:
        server = barkeep.Server(application, bind="127.0.0.1:0", **settings)
        server.start()
        cleanup.callback(server.stop, graceful_timeout=0)
        return server

    return start


@pytest.fixture
def connect(cleanup: ExitStack) -> Connect:
    """Connect to a server of this process, or to an address."""

    def open_client(server: barkeep.Server | Address, *, is_slow: bool = False) -> Client:
        address = address_of(server) if isinstance(server, barkeep.Server) else server
        return cleanup.enter_context(closing(Client(address, is_slow=is_slow)))

    return open_client


@pytest.fixture
def gate(cleanup: ExitStack, tmp_path: Path) -> Gate:
    """Where /gate and /stream of a served process wait for the test."""
    return cleanup.enter_context(closing(Gate(tmp_path / "gate")))


@pytest.fixture
def spawn(cleanup: ExitStack, gate: Gate, tmp_path: Path) -> Spawn:
    """Run applications.py in a process of its own, on a port that the kernel chooses."""

    def start(*options: str, before: tuple[str, ...] = ()) -> ServerProcess:
        words = (APPLICATION, "--bind", "127.0.0.1:0", *options)
        environ = clean_environ(GATE=gate.path)
        return cleanup.enter_context(
            closing(ServerProcess(*words, environ=environ, cwd=tmp_path, before=before))
        )

    return start


@pytest.fixture
def run(cleanup: ExitStack, tmp_path: Path) -> Callable[..., ServerProcess]:
    """Run barkeep with exactly these words, in an empty directory."""

    def start(*words: str, **more: str) -> ServerProcess:
        return cleanup.enter_context(
            closing(ServerProcess(*words, environ=clean_environ(**more), cwd=tmp_path))
        )

    return start


@pytest.fixture
def deployment(cleanup: ExitStack, tmp_path: Path) -> Deployment:
    """A directory with an application that the test may rewrite, and the server that runs it."""
    return Deployment(tmp_path, cleanup)


def address_of(server: barkeep.Server) -> Address:
    """Host and port of a server's first listener."""
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    return host, int(port)
