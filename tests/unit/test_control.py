"""control.py: a line in, lines out; a slow, rude or absent client never makes the supervisor wait."""

from __future__ import annotations

import json
import os
import select
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from barkeep import control
from barkeep.addresses import UnixAddress
from barkeep.control import ControlServer, Reply
from barkeep.listeners import open_listener

PATIENCE_MS = 10_000


class Harness:
    """A control server with a handler that only notes what it was asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[tuple[str, dict[str, Any], Reply]] = []
        self.logged: list[str] = []
        self.clients: list[socket.socket] = []
        listener = open_listener(UnixAddress(str(path)), backlog=64, unix_socket_mode=0o600)
        self.server = ControlServer(listener, self.handle, lambda _level, text: self.logged.append(text))

    def handle(self, command: str, arguments: dict[str, Any], reply: Reply) -> None:
        self.asked.append((command, arguments, reply))

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(PATIENCE_MS / 1000)
        client.connect(str(self.path))
        self.clients.append(client)
        return client

    def turn(self) -> None:
        """Wait until something can be done, and do it."""
        poller = select.poll()
        for descriptor, events in self.server.interests().items():
            poller.register(descriptor, events)
        ready = poller.poll(PATIENCE_MS)
        assert ready, "nothing happens"
        for descriptor, events in ready:
            self.server.on_ready(descriptor, events)

    def ask(self, command: str = "status", **arguments: object) -> tuple[socket.socket, Reply]:
        """A client whose command has reached the handler."""
        client = self.connect()
        client.sendall(json.dumps({"command": command, "arguments": arguments}).encode() + b"\n")
        before = len(self.asked)
        while len(self.asked) == before:
            self.turn()
        return client, self.asked[-1][2]


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    made = Harness(tmp_path / "c.sock")
    yield made
    made.server.close()
    for client in made.clients:
        client.close()


def read_to_end(client: socket.socket) -> list[dict[str, Any]]:
    received = b""
    while data := client.recv(65536):
        received += data
    return [json.loads(line) for line in received.splitlines()]


def test_command_and_its_arguments_reach_the_handler(harness: Harness) -> None:
    harness.ask("scale", workers=3)
    assert harness.asked[0][:2] == ("scale", {"workers": 3})


def test_progress_and_the_last_line_reach_the_client_and_end_the_connection(harness: Harness) -> None:
    client, reply = harness.ask("reload")
    reply.send("generation 8: loading")
    reply.finish(data={"generation": 8})
    assert read_to_end(client) == [
        {"done": False, "message": "generation 8: loading"},
        {"done": True, "code": 0, "error": "", "data": {"generation": 8}},
    ]
    assert list(harness.server.interests()) == [harness.server.listener.socket.fileno()]


def test_command_that_comes_in_pieces_is_put_together(harness: Harness) -> None:
    client = harness.connect()
    client.sendall(b'{"command": "sta')
    harness.turn()
    harness.turn()
    assert harness.asked == []
    client.sendall(b'tus"}\n')
    harness.turn()
    assert harness.asked[0][:2] == ("status", {})


@pytest.mark.parametrize(
    "line",
    [
        b"status",
        b"[]",
        b"{}",
        b'{"command": 7}',
        b'{"command": "a", "arguments": []}',
        b"\xff",
        b"[" * 60_000,
        b"",
    ],
)
def test_line_that_is_no_command_is_answered_with_an_error(harness: Harness, line: bytes) -> None:
    client = harness.connect()
    client.sendall(line + b"\n")
    while len(harness.server.interests()) != 1 or not read_waits(client):
        harness.turn()
    [answer] = read_to_end(client)
    assert (answer["done"], answer["code"]) == (True, 2)
    assert "a command is" in answer["error"]
    assert harness.asked == []


def read_waits(client: socket.socket) -> bool:
    return bool(select.select([client], [], [], 0)[0])


def test_line_without_an_end_is_refused(harness: Harness) -> None:
    client = harness.connect()
    client.setblocking(False)
    sent = 0
    while not read_waits(client):
        try:
            sent += client.send(b"x" * 65536)
        except BlockingIOError:
            pass
        harness.turn()
    client.setblocking(True)
    answer = json.loads(client.recv(65536))
    assert "65536 bytes at the most" in answer["error"]
    assert harness.asked == []


def test_exception_of_the_handler_is_logged_and_told_and_nothing_more(tmp_path: Path) -> None:
    class Broken(Harness):
        def handle(self, command: str, arguments: dict[str, Any], reply: Reply) -> None:
            raise ZeroDivisionError

    harness = Broken(tmp_path / "broken.sock")
    client = harness.connect()
    client.sendall(b'{"command": "status"}\n')
    while not read_waits(client):
        harness.turn()
    [answer] = read_to_end(client)
    assert answer["code"] == 1
    assert "bug in barkeep" in answer["error"]
    assert "ZeroDivisionError" in harness.logged[0]
    harness.server.close()
    client.close()


def test_client_that_goes_away_leaves_its_command_under_way(harness: Harness) -> None:
    client, reply = harness.ask("reload")
    client.close()
    harness.turn()
    assert not reply.is_open
    reply.send("nobody hears this")
    reply.finish()
    assert len(harness.server.interests()) == 1


def test_client_that_has_only_ended_its_side_is_answered(harness: Harness) -> None:
    client, reply = harness.ask()
    client.shutdown(socket.SHUT_WR)
    reply.finish(data={"pid": 1})
    assert read_to_end(client)[0]["data"] == {"pid": 1}


def test_answer_to_a_slow_reader_waits_in_the_outbox(harness: Harness) -> None:
    client, reply = harness.ask()
    reply.finish(data={"text": "x" * 2_000_000})
    assert any(events & select.POLLOUT for events in harness.server.interests().values())
    received = b""
    while not received.endswith(b"\n"):
        if read_waits(client):
            received += client.recv(65536)
        else:
            harness.turn()
    assert len(json.loads(received)["data"]["text"]) == 2_000_000


def test_client_that_never_reads_is_cut_before_its_answers_fill_the_memory(harness: Harness) -> None:
    _client, reply = harness.ask()
    while reply.is_open:
        reply.send("x" * 100_000)
    assert len(harness.server.interests()) == 1
    assert "does not read" in harness.logged[0]


def test_silent_clients_give_way_to_a_new_one(harness: Harness) -> None:
    for _ in range(control.MAX_CLIENTS):
        harness.connect()
    while len(harness.server.interests()) <= control.MAX_CLIENTS:
        harness.turn()
    harness.ask()
    assert harness.clients[0].recv(1) == b""
    assert len(harness.server.interests()) == control.MAX_CLIENTS + 1


def test_too_many_commands_at_once_are_refused_with_a_reason(harness: Harness) -> None:
    for _ in range(control.MAX_CLIENTS):
        harness.ask("reload")
    late = harness.connect()
    harness.turn()
    [answer] = read_to_end(late)
    assert answer["error"] == "32 commands are under way; try again later."


def test_another_user_is_refused(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "peer_uid", lambda _connection: os.geteuid() + 4711)
    client = harness.connect()
    harness.turn()
    assert client.recv(1) == b""
    assert "another user" in harness.logged[0]


def test_peer_is_the_user_that_connected(harness: Harness) -> None:
    harness.connect()
    accepted, _address = harness.server.listener.socket.accept()
    with accepted:
        assert control.peer_uid(accepted) == os.geteuid()


def test_close_removes_the_path_and_ends_the_clients(tmp_path: Path) -> None:
    harness = Harness(tmp_path / "c.sock")
    client, reply = harness.ask()
    assert stat.S_IMODE(os.stat(harness.path).st_mode) == 0o600
    harness.server.close()
    assert client.recv(1) == b""
    assert not reply.is_open
    assert not harness.path.exists()
    client.close()


def test_child_that_abandons_the_server_leaves_path_and_clients_to_its_parent(tmp_path: Path) -> None:
    harness = Harness(tmp_path / "c.sock")
    client, reply = harness.ask()
    child = os.fork()
    if child == 0:
        harness.server.abandon()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    reply.finish()
    assert read_to_end(client)[0]["done"] is True
    assert harness.path.exists()
    harness.server.close()
    client.close()


def test_event_of_a_descriptor_that_is_gone_is_ignored(harness: Harness) -> None:
    harness.server.on_ready(10_000, select.POLLIN)
