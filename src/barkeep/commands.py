"""The commands that talk to a running supervisor, as barkeep status: what each sends, and what it prints.

The last line of the server (control.py tells the form of all lines) has `code`, the exit code of the command;
`error`, one sentence or ""; and `data`, which is, by command and its arguments:

status {}               name, version, python: str; pid: int; uptime_s: float;
                        state: "starting", "serving", "reloading" or "stopping";
                        generation: int, the newest that serves; listeners: list of str;
                        workers_wanted: int;
                        memory_bytes, memory_budget_bytes: int or null, of all processes;
                        last_reload: null, or {"is_good": bool, "generation": int, "ago_s": float,
                        "reason": str};
                        workers: list, by slot, of {"slot", "pid", "generation": int;
                        "state": "starting", "ready", "draining", "stalled" or "gone"; "age_s": float;
                        "requests", "timed_out", "aborted", "threads", "busy", "quarantined", "queued",
                        "connections": int; "memory_bytes": int or null;
                        "application_p50_s", "application_p99_s": float, or null without a request}
requests {}             requests: list, the oldest first, of {"id": str, as kill-request takes it;
                        "slot": int; "age_s": float; "phase": "reading", "queued", "running" or "writing";
                        "client", "method", "path": str, escaped; "thread": int or null};
                        left_out: int, how many more there are (1,000 are listed at the most)
stacks {"slot": int}    stacks: list of {"slot", "pid": int; "text": str}; without "slot", of every worker
reload {}               generation: int, which serves now; on failure the one that failed, and
                        traceback: str, "" when there is none
upgrade {}              pid: int, of the new supervisor
scale {"workers": int}  workers: int, what is wanted now
recycle {"slot": int}   pid: int, of the worker that has taken the slot
reopen-logs {}          nothing
stop {}                 aborted: int, requests that were cut; code is 1 when there were any
kill-request {"id": str}    nothing

`reload`, `upgrade`, `recycle` and `stop` finish when it is done, and tell what happens on the way.
"""

from __future__ import annotations

import os
import socket
import sys

from .control_path import OFF, find_path, runtime_directories
from .errors import BarkeepError, SettingError
from .setting_kinds import whole_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from .settings import Settings

EXIT_FAILED = 1

# A supervisor that is well answers the commands that only look within milliseconds.
ANSWER_TIMEOUT_S = 10.0
MAX_SLOT = 255
MAX_WORKERS = 256
# A line of an answer, in bytes; control.py cuts a client before that.
MAX_ANSWER_BYTES = 8 * 1024 * 1024
RECEIVE_BYTES = 256 * 1024


class Command:
    """One command: the name of its argument ("" for none), whether that may be left out, and its range.

    waits: it finishes when something has happened, which may take as long as it takes.
    """

    __slots__ = ("argument", "bounds", "is_optional", "waits")

    def __init__(
        self,
        argument: str = "",
        bounds: tuple[int, int] = (0, 0),
        is_optional: bool = False,
        waits: bool = False,
    ) -> None:
        self.argument = argument
        self.bounds = bounds
        self.is_optional = is_optional
        self.waits = waits


COMMANDS = {
    "status": Command(),
    "requests": Command(),
    "stacks": Command("slot", (0, MAX_SLOT), is_optional=True),
    "reload": Command(waits=True),
    "upgrade": Command(waits=True),
    "scale": Command("workers", (1, MAX_WORKERS)),
    "recycle": Command("slot", (0, MAX_SLOT), waits=True),
    "reopen-logs": Command(),
    "stop": Command(waits=True),
    "kill-request": Command("id"),
}

# The settings that say which supervisor is meant; any other flag would be ignored, so it is refused.
SETTINGS_OF_COMMANDS = ("config", "chdir", "name", "control_socket")


class ControlError(BarkeepError):
    """No supervisor answers, or it went away before it did. Names the path and what to do."""


def read_arguments(command: str, words: Sequence[str]) -> dict[str, object]:
    """The arguments of a command from what was typed after its name. Raises SettingError."""
    row = COMMANDS[command]
    if len(words) > (1 if row.argument else 0) or (not words and row.argument and not row.is_optional):
        takes = f"one {row.argument.upper()}" if row.argument else "no argument"
        if row.is_optional:
            takes += " at the most"
        found = ", ".join(words) if words else "none"
        raise SettingError(
            f"barkeep {command} takes {takes}, found {found} (command line). See barkeep --help."
        )
    if not words:
        return {}
    if row.argument == "id":
        return {"id": words[0]}
    kind = whole_number(*row.bounds)
    try:
        return {row.argument: kind.read(words[0])}
    except ValueError:
        raise SettingError(
            f'{row.argument.upper()} of barkeep {command} must be {kind.allowed}, found "{words[0][:40]}" '
            "(command line)."
        ) from None


def run_command(
    command: str,
    arguments: dict[str, object],
    settings: Settings,
    environ: Mapping[str, str],
    as_json: bool = False,
) -> int:
    """Send a command to the supervisor that the settings name, print its answer; the result is an exit code.

    Progress and errors go to standard error. Raises ControlError and SettingError, one line.
    """
    path = _path_of(settings, environ)
    with _connect(path) as connection:
        if COMMANDS[command].waits:
            connection.settimeout(None)
        last = _talk(connection, path, {"command": command, "arguments": arguments})
    data = last.get("data", {})
    if data.get("traceback"):
        sys.stderr.write(f"{data['traceback'].rstrip()}\n")
    if last.get("error"):
        sys.stderr.write(f"barkeep: {last['error']}\n")
    if as_json:
        import json

        print(json.dumps(data, indent=2))
    elif not last.get("error"):
        from .command_output import show

        try:
            text = show(command, data)
        except (LookupError, TypeError, ValueError) as error:
            raise ControlError(
                f"the answer cannot be shown ({error!r}): the server at {path} may be of another version. "
                "Use --json."
            ) from None
        if text:
            print(text)
    code: int = last.get("code", EXIT_FAILED)
    return code


def _path_of(settings: Settings, environ: Mapping[str, str]) -> str:
    if settings.control_socket == OFF:
        raise SettingError(
            f"--control-socket is off ({settings.origins['control_socket']}): there is nothing to talk to."
        )
    if settings.control_socket:
        return os.path.abspath(settings.control_socket)
    path = find_path(settings.name, environ, os.geteuid())
    if path is None:
        looked_in = ", ".join(runtime_directories(environ, os.geteuid()))
        raise ControlError(
            f"no server answers: there is no {settings.name}.sock in {looked_in}. Is it running? "
            "Give its --name, or its --control-socket."
        )
    return path


def _connect(path: str) -> socket.socket:
    """Connect to the supervisor at a path; the caller closes the connection."""
    from .control import peer_uid

    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(ANSWER_TIMEOUT_S)
    try:
        connection.connect(path)
        # In a directory such as /tmp somebody else may have put a socket of theirs at our path.
        uid = peer_uid(connection)
    except (OSError, ValueError) as error:
        connection.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise ControlError(
            f"no server answers at {path}: {reason}. Is it running, and as this user? "
            "Give its --name, or its --control-socket."
        ) from None
    if os.geteuid() != 0 and uid not in (None, 0, os.geteuid()):
        connection.close()
        raise ControlError(
            f"the server at {path} belongs to another user ({uid}). Run the command as that user."
        )
    return connection


def _talk(connection: socket.socket, path: str, command: dict[str, Any]) -> dict[str, Any]:
    """Send the command and tell its progress; the last line of the answer."""
    import json

    try:
        connection.sendall(json.dumps(command).encode("ascii") + b"\n")
        for line in _lines(connection):
            said: dict[str, Any] = json.loads(line)
            if said.get("done"):
                return said
            sys.stderr.write(f"{said.get('message', '')}\n")
            sys.stderr.flush()
    except TimeoutError:
        raise ControlError(f"the server at {path} did not answer within {ANSWER_TIMEOUT_S:g}s.") from None
    except (OSError, ValueError, AttributeError) as error:
        raise ControlError(f"the server at {path} did not answer as expected: {error}.") from None
    raise ControlError(f"the server at {path} went away before it had answered; its log may say why.")


def _lines(connection: socket.socket) -> Iterator[bytes]:
    waiting = b""
    while received := connection.recv(RECEIVE_BYTES):
        *lines, waiting = (waiting + received).split(b"\n")
        yield from lines
        if len(waiting) > MAX_ANSWER_BYTES:
            raise ValueError(f"a line of more than {MAX_ANSWER_BYTES} bytes")
