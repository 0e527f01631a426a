"""The server's side of the control socket: one JSON object in, JSON lines out; it decides nothing.

One connection carries one command:

    client: {"command": "reload", "arguments": {}}
    server: {"done": false, "message": "generation 8: loading"}      progress, any number
    server: {"done": true, "code": 0, "error": "", "data": {...}}    the last line; then it closes

What the commands mean is in commands.py. Nothing here blocks: the supervisor polls `interests` and calls
`on_ready`; bytes that a slow client does not take wait in a bounded outbox.
"""

from __future__ import annotations

import os
import select
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .listeners import Listener

    # Called with the name and the arguments of a command. It may finish the reply later.
    Handler = Callable[[str, dict[str, Any], "Reply"], None]
    # Called with a level (error, warning, info, debug) and a text.
    Log = Callable[[str, str], None]

# Clients at once. A command is short or waits for an event, so one operator and a monitor need two or three.
MAX_CLIENTS = 32
# Longest command, in bytes; the longest real one has a hundred.
MAX_LINE_BYTES = 64 * 1024
# Bytes that wait for one client. The largest real answer, every request of a full server, is below 1 MiB.
MAX_WAITING_BYTES = 4 * 1024 * 1024
RECEIVE_BYTES = 16 * 1024

CODE_FAILED = 1
CODE_MISUSED = 2

GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL


class Reply:
    """What a command is answered with: any number of `send`, one `finish`. After that, and when the client
    has gone, both do nothing; the command itself goes on."""

    __slots__ = ("_client", "_server")

    def __init__(self, server: ControlServer, client: _Client) -> None:
        self._server = server
        self._client: _Client | None = client

    @property
    def is_open(self) -> bool:
        """Whether somebody still waits for the end of this command."""
        return self._client is not None

    def send(self, message: str) -> None:
        """A line of progress for the person who waits."""
        if self._client is not None:
            self._server.deliver(self._client, {"done": False, "message": message})

    def finish(self, code: int = 0, *, error: str = "", data: dict[str, Any] | None = None) -> None:
        """The last line. code: the exit code of the command. error: one sentence, when it is not 0."""
        client, self._client = self._client, None
        if client is not None:
            client.is_finished = True
            self._server.deliver(client, {"done": True, "code": code, "error": error, "data": data or {}})

    def forget(self) -> None:
        """The client has gone."""
        self._client = None


class _Client:
    """One connection: reading its line (no reply), then waiting (reply), then flushing (is_finished)."""

    __slots__ = ("inbox", "is_finished", "outbox", "reply", "socket")

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.inbox = bytearray()
        self.outbox = bytearray()
        self.reply: Reply | None = None
        self.is_finished = False


class ControlServer:
    """Takes commands from clients of the same user or of root. Used from one thread only."""

    def __init__(self, listener: Listener, handle: Handler, log: Log) -> None:
        """Takes over the listener; `close` closes it and removes its path.

        handle: what it raises is logged and told to the client; it never reaches the supervisor.
        """
        self.listener = listener
        self._handle = handle
        self._log = log
        # By descriptor, the oldest first.
        self._clients: dict[int, _Client] = {}

    def interests(self) -> dict[int, int]:
        """What to poll: descriptor -> events of select.poll. Ask again after each turn."""
        wanted = {self.listener.socket.fileno(): select.POLLIN}
        for descriptor, client in self._clients.items():
            reads = select.POLLIN if client.reply is None else 0
            wanted[descriptor] = reads | (select.POLLOUT if client.outbox else 0)
        return wanted

    def on_ready(self, descriptor: int, events: int) -> None:
        """Do what can be done without waiting. A descriptor that is no longer ours is ignored."""
        if descriptor == self.listener.socket.fileno():
            self._accept()
            return
        client = self._clients.get(descriptor)
        if client is None:
            return
        if client.reply is None:
            # Also when it has hung up: what it said before that still counts.
            self._receive(client)
        elif events & GONE:
            self._drop(client)
        elif events & select.POLLOUT:
            self._flush(client)

    def deliver(self, client: _Client, line: dict[str, Any]) -> None:
        """Send a line as far as the client takes it now; used by Reply."""
        import json

        # Plain ASCII, so that no terminal acts on what a peer has sent.
        client.outbox += json.dumps(line, default=str).encode("ascii") + b"\n"
        self._flush(client)
        if len(client.outbox) > MAX_WAITING_BYTES:
            self._log("warning", "a client of the control socket was cut: it does not read its answer")
            self._drop(client)

    def dismiss(self, why: str) -> None:
        """Answer everybody who still waits that it failed; nobody will hear more from this process."""
        for client in list(self._clients.values()):
            if client.reply is None:
                self._refuse(client, CODE_FAILED, why)
            else:
                client.reply.finish(CODE_FAILED, error=why)

    def close(self) -> None:
        """Close all connections and the socket, and remove its path. Answers go as far as they went."""
        for client in list(self._clients.values()):
            self._drop(client)
        self.listener.close()

    def abandon(self) -> None:
        """After a fork, in the child: close the descriptors; path and connections stay the parent's."""
        for client in self._clients.values():
            client.socket.close()
        self._clients.clear()
        self.listener.socket.close()

    def _accept(self) -> None:
        for _ in range(MAX_CLIENTS):
            try:
                connection, _address = self.listener.socket.accept()
            except OSError:
                # Nobody more, or the client has gone, or descriptors have run out: poll tells again.
                return
            connection.setblocking(False)
            if not _is_trusted(connection):
                self._log("warning", "a client of the control socket was refused: another user")
                connection.close()
                continue
            client = _Client(connection)
            if len(self._clients) >= MAX_CLIENTS and not self._make_room():
                self._clients[connection.fileno()] = client
                self._refuse(client, CODE_FAILED, f"{MAX_CLIENTS} commands are under way; try again later.")
                self._drop(client)
                continue
            self._clients[connection.fileno()] = client

    def _make_room(self) -> bool:
        """Drop the oldest client that has no command under way; False when all have one."""
        for client in self._clients.values():
            if client.reply is None or client.is_finished:
                self._drop(client)
                return True
        return False

    def _receive(self, client: _Client) -> None:
        try:
            received = client.socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)
            return
        if not received:
            self._drop(client)
            return
        client.inbox += received
        line, end, _more = client.inbox.partition(b"\n")
        if len(line) > MAX_LINE_BYTES:
            self._refuse(client, CODE_MISUSED, f"a command has {MAX_LINE_BYTES} bytes at the most.")
        elif end:
            client.inbox.clear()
            self._begin(client, bytes(line))

    def _begin(self, client: _Client, line: bytes) -> None:
        import json

        client.reply = reply = Reply(self, client)
        try:
            said = json.loads(line)
            command, arguments = said["command"], said.get("arguments", {})
        except (ValueError, TypeError, KeyError, RecursionError):
            command, arguments = None, None
        if not isinstance(command, str) or not isinstance(arguments, dict):
            reply.finish(CODE_MISUSED, error='a command is {"command": NAME, "arguments": {}} on one line.')
            return
        try:
            self._handle(command, arguments, reply)
        except Exception:
            # Imported for a bug of ours only: it costs 3 ms and its memory.
            from traceback import format_exc

            self._log("error", f"command {command[:40]!a} failed; this is a bug in barkeep\n{format_exc()}")
            reply.finish(CODE_FAILED, error="this is a bug in barkeep; the server's log has the traceback.")

    def _refuse(self, client: _Client, code: int, error: str) -> None:
        client.reply = Reply(self, client)
        client.reply.finish(code, error=error)

    def _flush(self, client: _Client) -> None:
        try:
            sent = client.socket.send(client.outbox) if client.outbox else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop(client)
            return
        del client.outbox[:sent]
        if client.is_finished and not client.outbox:
            self._drop(client)

    def _drop(self, client: _Client) -> None:
        if client.socket.fileno() >= 0:
            self._clients.pop(client.socket.fileno(), None)
            client.socket.close()
        if client.reply is not None:
            client.reply.forget()


def _is_trusted(connection: socket.socket) -> bool:
    """Whether the kernel says that root or our own user has connected (unix(7), SO_PEERCRED)."""
    uid = peer_uid(connection)
    return uid is None or uid in (0, os.geteuid())


def peer_uid(connection: socket.socket) -> int | None:
    """The user at the other end of a unix socket; None where the system does not tell (the file's mode
    is the only guard there)."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    import struct

    _pid, uid, _gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, option, 12))
    return int(uid)
