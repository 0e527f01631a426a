"""commands.py: what is typed reaches a supervisor (here a fake), and what that says is printed."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from barkeep import cli, commands

Answer = Callable[[str], None]

WORKER = {
    "slot": 0, "pid": 4712, "generation": 7, "state": "ready", "age_s": 3700.0, "requests": 1234,
    "timed_out": 2,
    "aborted": 1, "threads": 8, "busy": 3, "quarantined": 0, "queued": 5, "connections": 40,
    "memory_bytes": 47_395_635, "application_p50_s": 0.0121, "application_p99_s": None,
}  # fmt: skip
STATUS: dict[str, Any] = {
    "name": "shop", "version": "0.1.0", "python": "3.11.7", "pid": 4711, "uptime_s": 273_600.5,
    "state": "serving",
    "generation": 7, "listeners": ["http://127.0.0.1:8000"], "workers_wanted": 2,
    "memory_bytes": 100 * 1024**2,
    "memory_budget_bytes": 1024**3, "workers": [WORKER],
    "last_reload": {
        "is_good": False, "generation": 8, "ago_s": 312.0, "reason": 'cannot load "shop:app": \x1b[31m',
    },
}  # fmt: skip


class FakeSupervisor:
    """Takes one command on a unix socket and answers with the lines it was given."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[dict[str, Any]] = []
        self.lines: list[object] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            connection, _address = self._listening.accept()
        except OSError:
            return
        with connection:
            with connection.makefile() as reader:
                line_in = reader.readline()
            if not line_in:
                return
            self.asked.append(json.loads(line_in))
            for line in self.lines:
                text = line if isinstance(line, str) else json.dumps(line)
                connection.sendall(text.encode() + b"\n")

    def close(self) -> None:
        # Wakes the accept of a thread that nobody has asked anything.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


@pytest.fixture(autouse=True)
def quiet_environment(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("BARKEEP_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(site))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)


@pytest.fixture
def supervisor(site: Path) -> Iterator[FakeSupervisor]:
    (site / "barkeep").mkdir()
    fake = FakeSupervisor(site / "barkeep" / "barkeep.sock")
    yield fake
    fake.close()


def done(code: int = 0, error: str = "", **data: object) -> dict[str, object]:
    return {"done": True, "code": code, "error": error, "data": data}


def test_status_is_a_table_for_people(supervisor: FakeSupervisor, capsys: pytest.CaptureFixture[str]) -> None:
    supervisor.lines = [done(**STATUS)]
    assert cli.main(["status"]) == 0
    assert supervisor.asked == [{"command": "status", "arguments": {}}]
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [
        "shop: serving, generation 7, 1 of 2 workers ready, memory 100.0 MiB of 1.0 GiB",
        "barkeep 0.1.0 on Python 3.11.7, pid 4711, up 3d 4h",
        "listening on http://127.0.0.1:8000",
        'last reload failed 5m 12s ago: generation 8: cannot load "shop:app": \\x1b[31m',
        "",
    ]
    assert " ".join(lines[5].split()) == (
        "SLOT PID GEN STATE AGE REQUESTS BUSY STUCK QUEUED CONNS TIMEOUTS ABORTED MEMORY APP P50 APP P99"
    )
    assert " ".join(lines[6].split()) == "0 4712 7 ready 1h 01m 1234 3/8 0 5 40 2 1 45.2 MiB 12.1ms -"


def test_status_as_json_is_the_data_as_it_came(
    supervisor: FakeSupervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor.lines = [done(**STATUS)]
    assert cli.main(["status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == STATUS


def test_requests_are_a_table_and_what_a_peer_sent_is_escaped(
    supervisor: FakeSupervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    request = {
        "id": "3.17.5", "slot": 0, "age_s": 12.5, "phase": "running", "client": "192.0.2.7:51312",
        "method": "GET",
        "path": "/\x1b[2J" + "a" * 100, "thread": 4,
    }  # fmt: skip
    supervisor.lines = [done(requests=[request, {**request, "thread": None}], left_out=3)]
    assert cli.main(["requests"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ID", "SLOT", "AGE", "PHASE", "CLIENT", "THREAD", "METHOD", "PATH"]
    assert lines[1].startswith("3.17.5     0  12.5s  running  192.0.2.7:51312       4  GET     /\\x1b[2Jaaa")
    assert lines[1].endswith("a...")
    assert lines[-1] == "and 3 more"


def test_stacks_of_one_worker_are_asked_for_by_its_slot(
    supervisor: FakeSupervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor.lines = [done(stacks=[{"slot": 1, "pid": 9, "text": "Thread 0x1\n  File a.py\n"}])]
    assert cli.main(["stacks", "1"]) == 0
    assert supervisor.asked == [{"command": "stacks", "arguments": {"slot": 1}}]
    assert capsys.readouterr().out == "worker 1, pid 9:\nThread 0x1\n  File a.py\n"


def test_failed_reload_tells_progress_traceback_and_reason_and_returns_the_code(
    supervisor: FakeSupervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor.lines = [
        {"done": False, "message": "generation 8: loading"},
        done(3, "importing shop raised Zero.", generation=8, traceback="Traceback ...\n  1 / 0\n"),
    ]
    assert cli.main(["reload"]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "generation 8: loading\nTraceback ...\n  1 / 0\nbarkeep: importing shop raised Zero.\n"
    )


@pytest.mark.parametrize(
    ("words", "arguments", "data", "printed"),
    [
        (["reload"], {}, {"generation": 8, "traceback": ""}, "generation 8 serves\n"),
        (["upgrade"], {}, {"pid": 99}, "the new supervisor is pid 99\n"),
        (["scale", "3"], {"workers": 3}, {"workers": 3}, "3 workers\n"),
        (["recycle", "0"], {"slot": 0}, {"pid": 99}, "the slot has a new worker, pid 99\n"),
        (["reopen-logs"], {}, {}, ""),
        (["stop"], {}, {"aborted": 0}, "stopped\n"),
        (["kill-request", "3.17.5"], {"id": "3.17.5"}, {}, ""),
    ],
)
def test_commands_send_their_argument_and_tell_what_was_done(
    words: list[str],
    arguments: dict[str, object],
    data: dict[str, Any],
    printed: str,
    supervisor: FakeSupervisor,
    capsys: pytest.CaptureFixture[str],
) -> None:
    supervisor.lines = [done(**data)]
    assert cli.main(words) == 0
    assert supervisor.asked == [{"command": words[0], "arguments": arguments}]
    assert capsys.readouterr().out == printed


def test_stop_that_cut_requests_says_so_and_returns_1(
    supervisor: FakeSupervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor.lines = [done(1, aborted=2)]
    assert cli.main(["stop"]) == 1
    assert capsys.readouterr().out == "stopped; 2 requests were cut\n"


def test_missing_server_is_told_with_where_it_was_looked_for(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["status", "--name", "nobody"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"barkeep: no server answers: there is no nobody.sock in {site}/barkeep, ")
    assert "--control-socket" in error


def test_path_that_nobody_listens_on_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind("stale.sock")
    assert cli.main(["status", "--control-socket", "stale.sock"]) == 1
    error = capsys.readouterr().err
    assert "no server answers at " in error
    assert "/stale.sock: Connection refused." in error


def test_typed_path_is_used_even_when_the_settings_file_is_broken(
    site: Path, supervisor: FakeSupervisor
) -> None:
    (site / "barkeep.toml").write_text("threads = [")
    supervisor.lines = [done(aborted=0)]
    assert cli.main(["stop"]) == 2
    assert cli.main(["stop", "--control-socket", str(supervisor.path)]) == 0


def test_name_and_path_may_come_from_the_settings_file(site: Path, supervisor: FakeSupervisor) -> None:
    (site / "barkeep.toml").write_text('control_socket = "barkeep/barkeep.sock"\n')
    supervisor.lines = [done()]
    assert cli.main(["reopen-logs"]) == 0


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "went away before it had answered"),
        (["not json"], "did not answer as expected"),
        (["7"], "as expected"),
    ],
)
def test_server_that_does_not_answer_well_is_told(
    lines: list[object], told: str, supervisor: FakeSupervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor.lines = lines
    assert cli.main(["status"]) == 1
    assert told in capsys.readouterr().err


def test_answer_of_another_version_is_told(
    supervisor: FakeSupervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor.lines = [done(name="shop")]
    assert cli.main(["status"]) == 1
    assert "may be of another version. Use --json." in capsys.readouterr().err


def test_server_of_another_user_is_not_believed(
    supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    monkeypatch.setattr("barkeep.control.peer_uid", lambda _connection: 4712)
    assert cli.main(["status"]) == 1
    assert "belongs to another user (4712)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["status", "now"], "barkeep status takes no argument, found now"),
        (["scale"], "barkeep scale takes one WORKERS, found none"),
        (["scale", "0"], 'WORKERS of barkeep scale must be a whole number from 1 to 256, found "0"'),
        (["scale", "+3"], 'found "+3"'),
        (["stacks", "1", "2"], "takes one SLOT at the most, found 1, 2"),
        (["stop", "--threads", "3"], "--threads means nothing to barkeep stop"),
        (["status", "--control-socket", "off"], "--control-socket is off (command line)"),
        (["shop:app", "--json"], "--json is for status, requests and stacks"),
    ],
)
def test_unusable_words_end_with_2_and_one_line(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_module_with_the_name_of_a_command_is_a_target_when_it_is_written_as_one() -> None:
    assert cli.read_words(["status:app"]).target == "status:app"
    assert cli.read_words(["status"]).command == "status"


def test_every_command_is_told_by_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    told = [
        line.split()[0]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("  ") and line.split()
    ]
    assert [command for command in commands.COMMANDS if command not in told] == []


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.00034, "340us"),
        (0.0121, "12.1ms"),
        (0.9999, "1.0s"),
        (59.96, "60.0s"),
        (60.0, "1m 00s"),
        (None, "-"),
    ],
)
def test_latency_is_shown_in_its_unit(seconds: float | None, shown: str) -> None:
    from barkeep.command_output import show_latency

    assert show_latency(seconds) == shown
