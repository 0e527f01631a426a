"""Step 1 from outside - every kind of listener serves: TCP, unix, inherited, several at once."""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.behaviour.clients import CutShortError
from tests.behaviour.kinds import Connect
from tests.behaviour.processes import APPLICATION, ServerProcess, clean_environ

Run = Callable[..., ServerProcess]

# As systemd starts a service: the sockets are descriptors 3 and on, for this very process.
AS_SYSTEMD = """
import os, sys
descriptors = [int(word) for word in sys.argv[1].split(",")]
for place, descriptor in enumerate(descriptors):
    os.dup2(descriptor, 3 + place, inheritable=True)
os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), str(len(descriptors))
os.execv(sys.argv[2], sys.argv[2:])
"""

# Far above those that dup2 writes over.
HIGH_DESCRIPTOR = 200


@pytest.fixture
def inherited(cleanup: ExitStack) -> socket.socket:
    """A listening socket that a server may inherit, with a descriptor of a high number."""
    opened = cleanup.enter_context(closing(socket.create_server(("127.0.0.1", 0))))
    os.dup2(opened.fileno(), HIGH_DESCRIPTOR)
    cleanup.callback(os.close, HIGH_DESCRIPTOR)
    return opened


def free_port() -> int:
    """A port that nobody listens on, below those that the kernel gives to clients."""
    for port in range(20_000 + os.getpid() % 5000, 30_000):
        with closing(socket.socket()) as tried:
            try:
                tried.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    raise AssertionError("every port is taken")


def test_unix_socket_serves_has_its_mode_and_is_removed_at_the_end(
    run: Run, connect: Connect, tmp_path: Path
) -> None:
    path = tmp_path / "site.sock"
    server = run(APPLICATION, "--bind", f"unix:{path}", "--unix-socket-mode", "600")
    assert server.address() == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert connect(str(path)).ask().body == b"hello"
    assert server.stop() == 0
    assert not path.exists()


def test_stale_unix_socket_is_replaced(run: Run, connect: Connect, tmp_path: Path) -> None:
    path = tmp_path / "site.sock"
    with closing(socket.socket(socket.AF_UNIX)) as left_behind:
        left_behind.bind(str(path))
    server = run(APPLICATION, "--bind", f"unix:{path}")
    assert connect(server.address()).ask().body == b"hello"
    assert server.stop() == 0


def test_unix_socket_that_somebody_serves_is_refused(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "site.sock"
    first = run(APPLICATION, "--bind", f"unix:{path}")
    first.address()
    second = run(APPLICATION, "--bind", f"unix:{path}")
    assert second.wait() == 1
    assert first.stop() == 0


def test_several_binds_are_served_by_one_process(run: Run, connect: Connect, tmp_path: Path) -> None:
    words = ("--bind", "127.0.0.1:0", "-b", "127.0.0.1:0", "-b", f"unix:{tmp_path / 'site.sock'}")
    server = run(APPLICATION, *words)
    addresses = [server.address() for _ in range(3)]
    assert len(set(addresses)) == 3
    assert [connect(address).ask().body for address in addresses] == [b"hello"] * 3
    assert server.stop() == 0


def test_port_in_the_environment_means_every_interface(run: Run, connect: Connect) -> None:
    port = free_port()
    server = run(APPLICATION, PORT=str(port))
    server.wait_for_log(f"listening on http://0.0.0.0:{port}")
    assert connect(("127.0.0.1", port)).ask().body == b"hello"
    assert server.stop() == 0


def test_descriptor_given_by_number_is_served(
    cleanup: ExitStack, connect: Connect, inherited: socket.socket
) -> None:
    words = (APPLICATION, "--bind", f"fd://{HIGH_DESCRIPTOR}")
    server = cleanup.enter_context(closing(ServerProcess(*words, pass_fds=(HIGH_DESCRIPTOR,))))
    assert server.address() == inherited.getsockname()
    assert connect(inherited.getsockname()).ask().body == b"hello"
    assert server.stop() == 0


def test_sockets_of_systemd_are_served_when_no_address_was_given(
    cleanup: ExitStack, connect: Connect, inherited: socket.socket
) -> None:
    before = (sys.executable, "-c", AS_SYSTEMD, str(HIGH_DESCRIPTOR))
    server = cleanup.enter_context(
        closing(
            ServerProcess(APPLICATION, environ=clean_environ(), pass_fds=(HIGH_DESCRIPTOR,), before=before)
        )
    )
    assert server.address() == inherited.getsockname()
    assert connect(inherited.getsockname()).ask().body == b"hello"
    assert server.stop() == 0


def test_socket_of_systemd_keeps_its_queue_between_two_servers(
    cleanup: ExitStack, connect: Connect, inherited: socket.socket
) -> None:
    words = (APPLICATION, "--bind", f"fd://{HIGH_DESCRIPTOR}")
    first = cleanup.enter_context(closing(ServerProcess(*words, pass_fds=(HIGH_DESCRIPTOR,))))
    first.address()
    assert first.stop() == 0
    # Nobody serves now, and yet nobody is turned away.
    waiting = connect(inherited.getsockname())
    waiting.get()
    second = cleanup.enter_context(closing(ServerProcess(*words, pass_fds=(HIGH_DESCRIPTOR,))))
    assert waiting.answer().body == b"hello"
    assert second.stop() == 0


def test_client_of_a_unix_socket_has_no_address_in_environ_or_log(
    run: Run, connect: Connect, tmp_path: Path
) -> None:
    (tmp_path / "tavern.py").write_text(
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    names = ('REMOTE_ADDR', 'REMOTE_PORT', 'SERVER_NAME', 'SERVER_PORT')\n"
        "    return [repr([environ.get(name) for name in names]).encode()]\n"
    )
    words = ("--bind", f"unix:{tmp_path / 'site.sock'}", "--access-log", "-", "--access-log-format", "json")
    server = run("tavern:app", *words)
    assert connect(server.address()).ask().body == repr(["", "", "localhost", "80"]).encode()
    assert server.stop() == 0
    record = json.loads(server.output())
    assert (record["client"], record["client_port"]) == ("unix", None)


def test_failure_mid_stream_is_visible_over_a_unix_socket(run: Run, connect: Connect, tmp_path: Path) -> None:
    server = run(APPLICATION, "--bind", f"unix:{tmp_path / 'site.sock'}")
    client = connect(server.address())
    client.get("/fail")
    # There is no reset on a unix socket; the last chunk that is missing tells.
    with pytest.raises(CutShortError):
        client.answer()
    assert server.stop() == 0
