"""reload_watch.py: which files count, what is told of them, and that the process ends with its supervisor."""

from __future__ import annotations

import select
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from barkeep.channel import Channel
from barkeep.errors import SettingError
from barkeep.reload_watch import (
    ReloadWatch,
    check_library,
    directories_to_watch,
    is_source,
    watch_and_tell,
)
from barkeep.settings import Settings

WAIT_S = 20

# A supervisor that says on standard output what it hears, and ends when its standard input does.
SUPERVISOR = """
import os, select, sys
from barkeep.reload_watch import ReloadWatch

watch = ReloadWatch(sys.argv[1:], "", lambda: None)
has_told = False
while select.select([watch, 0], [], [])[0] == [watch]:
    changed = watch.take()
    if watch.is_watching and not has_told:
        has_told = True
        print("watching", flush=True)
    if changed is None:
        print(watch.failure, flush=True)
        break
    if changed:
        print("changed:", changed, flush=True)
watch.close()
print("exit status", os.waitpid(watch.pid, 0)[1], flush=True)
"""


def settings(**typed: str) -> Settings:
    return Settings({name: (text, "test") for name, text in typed.items()})


# -- which files --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "app.py",
        "shop/views.py",
        "shop/_fast.cpython-311-x86_64-linux-gnu.so",
        ".env",
        "barkeep.toml",
        "pyproject.toml",
        "shop/live.toml",
    ],
)
def test_sources_and_settings_count(name: str) -> None:
    assert is_source(f"/srv/shop/{name}", ["/srv/shop"], config="conf/live.toml")


@pytest.mark.parametrize(
    "name",
    [
        "templates/page.html",
        "static/style.css",
        "db.sqlite3",
        "app.py~",
        "app.py.swp",
        ".#app.py",
        "#app.py#",
        "flycheck_app.py",
        "app.pyc",
        "__pycache__/app.py",
        ".git/hooks/check.py",
        ".venv/lib/a.py",
        "env/lib/python3.11/site-packages/a.py",
        "node_modules/gyp/a.py",
        "other.toml",
        "",
    ],
)
def test_what_is_no_source_of_the_application_does_not_count(name: str) -> None:
    assert not is_source(f"/srv/shop/{name}", ["/srv/shop"], config="")


def test_directory_that_is_watched_may_itself_be_hidden() -> None:
    assert is_source("/home/me/.local/shop/app.py", ["/home/me/.local/shop"])
    assert is_source("/srv/shop/.venv/lib/mine.py", ["/srv/shop", "/srv/shop/.venv/lib"])


def test_file_outside_of_all_directories_does_not_count() -> None:
    assert not is_source("/srv/shopping/app.py", ["/srv/shop"])
    assert is_source("/app.py", ["/"])


# -- which directories --------------------------------------------------------------------------------


def test_directories_are_those_the_application_is_imported_from(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    chosen = directories_to_watch(settings(pythonpath="lib:missing:."), str(tmp_path))
    assert chosen == [str(tmp_path.resolve()), str((tmp_path / "lib").resolve())]


def test_directories_that_are_named_are_the_only_ones(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "link").symlink_to("src")
    chosen = directories_to_watch(settings(reload_dir="src:link", pythonpath="lib"), str(tmp_path))
    assert chosen == [str((tmp_path / "src").resolve())]


def test_directory_that_is_named_and_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r'--reload-dir must be a directory, found "sources" \(test\)'):
        directories_to_watch(settings(reload_dir="sources"), str(tmp_path))


def test_missing_library_is_an_error_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(SettingError, match=r"pip install 'barkeep\[reload\]'"):
        check_library()
    with pytest.raises(SettingError, match="watchfiles"):
        ReloadWatch(["."], "", lambda: None)


# -- what is told -------------------------------------------------------------------------------------


def told(batches: Iterable[set[tuple[int, str]]], error: Exception | None = None) -> list[dict[str, str]]:
    """What the process says of these changes, and of the error that ends them."""
    ours, theirs = Channel.pair()

    def watch(
        *paths: str, watch_filter: Callable[[object, str], bool], stop_event: object, **_others: bool
    ) -> Iterable[set[tuple[int, str]]]:
        assert paths == ("/srv/shop",)
        for batch in batches:
            yield {change for change in batch if watch_filter(*change)}
        if error is not None:
            raise error

    watch_and_tell(theirs, ["/srv/shop"], "", watch)
    theirs.close()
    messages = ours.receive()
    ours.close()
    return messages or []


def test_changed_files_are_named_below_their_directory() -> None:
    batch = {(2, "/srv/shop/app.py"), (1, "/srv/shop/views/new.py"), (2, "/srv/shop/page.html")}
    assert told([batch]) == [{"is": "changed", "what": "app.py, views/new.py"}]


def test_many_files_are_counted() -> None:
    batch = {(1, f"/srv/shop/m{number}.py") for number in range(10)}
    assert told([batch]) == [{"is": "changed", "what": "m0.py, m1.py, m2.py and 7 more"}]


def test_name_of_a_file_cannot_write_to_the_log() -> None:
    batch = {(1, "/srv/shop/a\n\x1b[31m\udcff.py")}
    assert told([batch]) == [{"is": "changed", "what": "a??[31m?.py"}]


def test_longest_names_are_cut() -> None:
    (message,) = told([{(1, f"/srv/shop/{'a' * 4000}.py")}])
    assert len(message["what"]) == 200


def test_failure_is_told_in_words() -> None:
    messages = told([], OSError("OS file watch limit reached"))
    assert messages == [
        {"is": "failed", "why": "--reload cannot watch any more: OS file watch limit reached"}
    ]


def test_directory_that_may_not_be_read_does_not_keep_the_others_from_being_watched() -> None:
    ours, theirs = Channel.pair()

    def watch(
        *_paths: str, ignore_permission_denied: bool, **_others: object
    ) -> Iterable[set[tuple[int, str]]]:
        if not ignore_permission_denied:
            raise PermissionError(13, "Permission denied")
        yield {(1, "/srv/shop/app.py")}

    watch_and_tell(theirs, ["/srv/shop"], "", watch)
    theirs.close()
    assert ours.receive() == [{"is": "changed", "what": "app.py"}]
    ours.close()


# -- the process --------------------------------------------------------------------------------------


class Supervisor:
    """The program above in a process of its own, under test with the real library."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def line(self) -> str:
        """The next line it writes; "" at the end, which is when the process that watches has ended too."""
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], WAIT_S)[0], "nothing was said in time"
        return self.process.stdout.readline().rstrip("\n")


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterable[Supervisor]:
    started = Supervisor(tmp_path.resolve())
    yield started
    with started.process:
        started.process.kill()


def test_change_of_a_source_is_told_and_of_other_files_is_not(supervisor: Supervisor, tmp_path: Path) -> None:
    assert supervisor.line() == "watching"
    (tmp_path / "page.html").write_text("one")
    (tmp_path / "app.py").write_text("two = 2\n")
    assert supervisor.line() == "changed: app.py"


def test_file_that_an_editor_puts_in_the_place_of_another_is_told(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    assert supervisor.line() == "watching"
    (tmp_path / "app.py.new").write_text("two = 2\n")
    (tmp_path / "app.py.new").rename(tmp_path / "app.py")
    assert supervisor.line() == "changed: app.py"


def test_process_ends_when_it_is_closed(supervisor: Supervisor) -> None:
    assert supervisor.line() == "watching"
    assert supervisor.process.stdin is not None
    supervisor.process.stdin.close()
    assert supervisor.line() == "exit status 0"
    assert supervisor.line() == ""


def test_process_ends_with_a_supervisor_that_was_killed(supervisor: Supervisor) -> None:
    assert supervisor.line() == "watching"
    supervisor.process.kill()
    assert supervisor.line() == ""


def test_directory_that_has_gone_is_told_as_the_reason(tmp_path: Path) -> None:
    started = Supervisor(tmp_path / "gone")
    try:
        assert started.line().startswith("--reload cannot watch any more: ")
        assert started.line() == "exit status 0"
    finally:
        with started.process:
            started.process.kill()
