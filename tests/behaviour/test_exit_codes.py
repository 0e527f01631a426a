"""Steps 1 and 5, from the command line - what cannot run says why in one line, and with which exit code."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.behaviour.processes import APPLICATION, ServerProcess

Run = Callable[..., ServerProcess]


def test_port_in_use_is_one_line_and_exit_code_1(run: Run) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        server = run(APPLICATION, "--bind", f"127.0.0.1:{port}")
        assert server.wait() == 1
    (line,) = server.log
    assert line.startswith("barkeep: ")
    assert str(port) in line
    assert "in use" in line


def test_port_in_use_is_told_before_the_application_is_imported(run: Run, tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text("print('imported')\n")
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        server = run("loud:app", "--bind", f"127.0.0.1:{taken.getsockname()[1]}")
        assert server.wait() == 1
    assert server.output() == ""


def test_unusable_setting_is_one_line_with_its_source_and_exit_code_2(run: Run) -> None:
    server = run(APPLICATION, BARKEEP_THREADS="0")
    assert server.wait() == 2
    (line,) = server.log
    assert line.startswith("barkeep: --threads must be a whole number from 1 to 1024, found ")
    assert "(environment BARKEEP_THREADS)" in line


def test_unknown_option_names_the_nearest_and_exit_code_2(run: Run) -> None:
    server = run(APPLICATION, "--treads", "4")
    assert server.wait() == 2
    (line,) = server.log
    assert "--treads" in line
    assert "--threads" in line


def test_unknown_key_of_a_file_names_the_nearest_and_exit_code_2(run: Run, tmp_path: Path) -> None:
    (tmp_path / "barkeep.toml").write_text("thread = 4\n")
    server = run(APPLICATION)
    assert server.wait() == 2
    (line,) = server.log
    assert "barkeep.toml" in line
    assert "threads" in line


def test_unknown_field_of_an_access_log_format_is_exit_code_2(run: Run) -> None:
    server = run(APPLICATION, "--bind", "127.0.0.1:0", "--access-log", "-", "--access-log-format", "{statsu}")
    assert server.wait() == 2
    (line,) = server.log
    assert "statsu" in line
    assert "status" in line.replace("statsu", "")


def test_access_log_that_cannot_be_opened_is_one_line(run: Run, tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "access.log"
    server = run(APPLICATION, "--bind", "127.0.0.1:0", "--access-log", str(missing))
    assert server.wait() in (1, 2)
    (line,) = server.log
    assert line.startswith("barkeep: ")
    assert str(missing) in line


def test_wrong_target_says_what_the_module_has_and_exit_code_3(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tavern.py").write_text("def aplication(environ, start_response):\n    return []\n")
    server = run("tavern:application", "--bind", "127.0.0.1:0")
    assert server.wait() == 3
    (line,) = server.log
    assert line.startswith("barkeep: ")
    assert "aplication" in line


def test_missing_module_is_one_line_and_exit_code_3(run: Run) -> None:
    server = run("nowhere:app", "--bind", "127.0.0.1:0")
    assert server.wait() == 3
    (line,) = server.log
    assert "nowhere" in line


def test_error_in_the_users_module_shows_their_traceback_without_ours(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tavern.py").write_text("def broken():\n    return 1 / 0\n\nbroken()\n")
    server = run("tavern:app", "--bind", "127.0.0.1:0")
    assert server.wait() == 3
    text = "\n".join(server.log)
    assert "ZeroDivisionError: division by zero" in text
    assert str(tmp_path / "tavern.py") in text
    assert "app_loader" not in text
    assert "importlib" not in text


def test_check_prints_each_setting_with_its_source_and_serves_nothing(run: Run) -> None:
    server = run("check", APPLICATION, "--threads", "3")
    assert server.wait() == 0
    rows = {line.split()[0]: line for line in server.output().splitlines()}
    assert rows["threads"].split() == ["threads", "3", "command", "line"]
    assert rows["head_timeout"].endswith("default")
    assert "application" in rows


def test_check_of_a_wrong_target_says_why_and_exit_code_3(run: Run) -> None:
    server = run("check", "nowhere:app")
    assert server.wait() == 3


def test_version_is_printed_and_exit_code_0(run: Run) -> None:
    server = run("--version")
    assert server.wait() == 0
    assert server.output().startswith("barkeep ")
