"""cli.py: words become settings and an exit code; nothing is served here, the supervisor is a fake."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from barkeep import cli
from barkeep.listeners import Listener
from barkeep.settings import TABLE, Settings

Run = Callable[[str, Settings, list[Listener]], int]


@pytest.fixture(autouse=True)
def quiet_environment(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory with an application, and nothing in the environment that is ours."""
    (site / "shop.py").write_text("def app(environ, start_response): return []\n")
    for variable in ("PORT", "LISTEN_PID", *(name for name in os.environ if name.startswith("BARKEEP_"))):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("BARKEEP_CONTROL_SOCKET", "off")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Settings, list[str]]]:
    """What the fake supervisor was asked to run: target, settings, addresses."""
    calls: list[tuple[str, Settings, list[str]]] = []

    def run(target: str, settings: Settings, listeners: list[Listener]) -> int:
        assert all(not listener.socket.get_inheritable() for listener in listeners)
        calls.append((target, settings, [listener.url for listener in listeners]))
        return 0

    give_server(monkeypatch, run)
    return calls


def give_server(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """Put a fake in the place of barkeep.supervisor."""

    class FakeSupervisor:
        def __init__(self, target: str, settings: Settings, listeners: list[Listener], *_: object) -> None:
            self._asked = (target, settings, listeners)

        def run(self) -> int:
            return run(*self._asked)

    module = ModuleType("barkeep.supervisor")
    module.Supervisor = FakeSupervisor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "barkeep.supervisor", module)


def test_target_and_options_reach_the_server(served: list[tuple[str, Settings, list[str]]]) -> None:
    assert cli.main(["--threads", "3", "shop:app", "--bind", "unix:a.sock", "-b", "unix:b.sock"]) == 0
    [(target, settings, urls)] = served
    assert settings.threads == 3
    assert target == "shop:app"
    assert urls == ["unix:a.sock", "unix:b.sock"]


def test_listeners_are_closed_after_serving(
    site: Path, served: list[tuple[str, Settings, list[str]]]
) -> None:
    assert cli.main(["shop:app", "-b", "unix:a.sock"]) == 0
    assert served
    assert not (site / "a.sock").exists()


def test_exit_code_of_the_server_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    give_server(monkeypatch, lambda *_: 1)
    assert cli.main(["shop:app", "-b", "unix:a.sock"]) == 1


def test_interrupt_ends_as_shells_expect(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> int:
        raise KeyboardInterrupt

    give_server(monkeypatch, run)
    assert cli.main(["shop:app", "-b", "unix:a.sock"]) == 130


def test_options_without_a_target_are_told_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--threads", "3"]) == 2
    assert capsys.readouterr().err == (
        "barkeep: one TARGET is needed, such as module:app, found none (command line). See barkeep --help.\n"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["shop:app", "--thread", "3"], 'no option "--thread" (command line). Did you mean "--threads"?'),
        (["shop:app", "--thread=3"], 'no option "--thread" (command line). Did you mean "--threads"?'),
        (["shop:app", "-z", "3"], 'no option "-z" (command line).'),
        (["shop:app", "--threads"], "--threads: expected one argument"),
        (["shop:app", "other:app"], "found 2: shop:app, other:app"),
        (["check"], "found none"),
        (
            ["shop:app", "--threads", "0"],
            '--threads must be a whole number from 1 to 1024, found "0" (command line)',
        ),
        (["shop:app", "--chdir", "nowhere"], '--chdir must be a directory, found "nowhere" (command line)'),
        (["shop:app", "-c", "none.toml"], "cannot read settings from none.toml"),
        (["shop:app", "-b", "8000"], 'found "8000" (command line): write :8000 for every interface'),
    ],
)
def test_unusable_words_end_with_2_and_one_line(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.startswith("barkeep: ")
    assert error.count("\n") == 1


def test_environment_and_toml_are_read(
    site: Path, monkeypatch: pytest.MonkeyPatch, served: list[tuple[str, Settings, list[str]]]
) -> None:
    (site / "barkeep.toml").write_text('bind = "unix:toml.sock"\nthreads = 2\n')
    monkeypatch.setenv("BARKEEP_THREADS", "5")
    assert cli.main(["shop:app"]) == 0
    [(_target, settings, urls)] = served
    assert (settings.threads, urls) == (5, ["unix:toml.sock"])


def test_address_in_use_ends_with_1_before_the_application_is_imported(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (site / "broken.py").write_text("raise AssertionError('imported too early')\n")
    (site / "notes.txt").touch()
    assert cli.main(["broken:app", "-b", "unix:notes.txt"]) == 1
    assert capsys.readouterr().err.startswith("barkeep: cannot listen on unix:notes.txt: ")


def test_wrong_target_ends_with_3_and_one_line(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["shop:ap", "-b", "unix:a.sock"]) == 3
    error = capsys.readouterr().err
    assert 'has no name "ap"' in error
    assert error.count("\n") == 1
    assert not (site / "a.sock").exists()


def test_exception_of_the_application_ends_with_3_and_their_traceback(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (site / "broken.py").write_text("1 / 0\n")
    assert cli.main(["broken:app", "-b", "unix:a.sock"]) == 3
    error = capsys.readouterr().err
    assert "ZeroDivisionError" in error
    assert "barkeep/" not in error
    assert (
        error.splitlines()[-1]
        == 'barkeep: cannot load "broken:app": importing broken raised ZeroDivisionError.'
    )


@pytest.mark.parametrize(
    "words", [["check", "shop:app", "--threads", "3"], ["--threads", "3", "check", "shop:app"]]
)
def test_check_prints_each_setting_with_its_origin_and_serves_nothing(
    words: list[str], site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == list(TABLE)
    assert ["threads", "3", "command", "line"] in [line.split() for line in lines]
    assert lines[-1].startswith("application shop:app loads: <function app at ")


def test_check_says_why_an_application_does_not_load(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "shop:ap"]) == 3
    assert 'has no name "ap"' in capsys.readouterr().err


def test_directory_is_changed_before_the_application_is_imported(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (site / "inner").mkdir()
    (site / "inner" / "deep.py").write_text("from pathlib import Path\napp = type(Path.cwd().name, (), {})\n")
    assert cli.main(["check", "deep:app", "--chdir", "inner"]) == 0
    assert "deep.inner" in capsys.readouterr().out


def test_python_path_is_searched(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "lib").mkdir()
    (site / "lib" / "far.py").write_text("def app(environ, start_response): return []\n")
    assert cli.main(["check", "far:app", "--pythonpath", "lib"]) == 0


def test_help_has_every_option_in_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert all(setting.flag in text for setting in TABLE.values())
    assert all(f"\n{setting.group}:\n" in text for setting in TABLE.values())
    assert "(default 127.0.0.1:8000)" in " ".join(text.split())


@pytest.mark.parametrize(
    "module",
    ["typing", "inspect", "dataclasses", "logging", "difflib", "tomllib", "traceback", "shutil", "ast"],
)
def test_starting_imports_nothing_that_costs_more_than_it_gives(site: Path, module: str) -> None:
    # -S: what the site module of this very installation imports is not ours to answer for.
    source = str(Path(cli.__file__).parents[1])
    program = f"import sys; sys.path.insert(0, {source!r}); from barkeep.cli import main; "
    program += f"import barkeep.listeners; main(['check', 'shop:app']); sys.exit({module!r} in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], cwd=site, check=False, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")
