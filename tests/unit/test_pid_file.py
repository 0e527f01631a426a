"""pid_file.py: a held file is refused, a stale one replaced, and no other file is ever written or removed."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from barkeep.errors import SettingError
from barkeep.pid_file import PidFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.pid"


@pytest.fixture
def holder(path: Path) -> Iterator[int]:
    """Another process that holds the file."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        PidFile(str(path))
        os.write(writer, b"x")
        signal.pause()
        os._exit(0)
    assert os.read(reader, 1) == b"x"
    yield child
    os.close(reader)
    os.close(writer)
    end(child)


def end(child: int) -> None:
    try:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def test_file_has_the_process_id_and_is_readable_by_all_whatever_the_umask(path: Path) -> None:
    before = os.umask(0o077)
    try:
        PidFile(str(path))
    finally:
        os.umask(before)
    assert path.read_text() == f"{os.getpid()}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(path.parent) == ["shop.pid"]


def test_file_is_removed_at_the_end(path: Path) -> None:
    held = PidFile(str(path))
    held.remove()
    held.remove()
    assert not path.exists()


def test_relative_path_is_meant_from_where_it_was_given(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    held = PidFile("shop.pid")
    monkeypatch.chdir("/")
    held.remove()
    assert not path.exists()


def test_file_that_another_server_has_put_there_since_is_not_removed(path: Path) -> None:
    held = PidFile(str(path))
    path.unlink()
    path.write_text("7\n")
    held.remove()
    assert path.read_text() == "7\n"


def test_file_held_by_a_running_server_is_refused_with_its_process_id(path: Path, holder: int) -> None:
    with pytest.raises(SettingError, match=rf"a running server holds it \(process {holder}\)"):
        PidFile(str(path))
    assert path.read_text() == f"{holder}\n"
    assert os.listdir(path.parent) == ["shop.pid"]


def test_file_of_a_server_that_was_killed_is_replaced(path: Path, holder: int) -> None:
    end(holder)
    PidFile(str(path))
    assert path.read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("content", ["1\n", f"{os.getppid()}\n", "", "not a number", "9" * 100])
def test_number_in_a_stale_file_is_not_believed(path: Path, content: str) -> None:
    path.write_text(content)
    PidFile(str(path))
    assert path.read_text() == f"{os.getpid()}\n"


def test_worker_that_outlives_its_supervisor_does_not_hold_the_file(path: Path) -> None:
    reader, writer = os.pipe()
    supervisor = os.fork()
    if supervisor == 0:
        PidFile(str(path))
        if os.fork() == 0:
            # The worker lives until the test closes its end.
            os.close(writer)
            os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    assert os.waitpid(supervisor, 0)[1] == 0
    PidFile(str(path))
    assert path.read_text() == f"{os.getpid()}\n"
    os.close(writer)


def test_file_that_was_handed_over_can_be_taken_by_another_and_taken_back(path: Path) -> None:
    held = PidFile(str(path))
    held.hand_over()
    child = os.fork()
    if child == 0:
        PidFile(str(path))
        os._exit(0 if path.read_text() == f"{os.getpid()}\n" else 1)
    assert os.waitpid(child, 0)[1] == 0
    held.remove()
    assert path.exists()
    PidFile(str(path)).remove()
    assert not path.exists()


def test_link_to_another_file_is_refused_and_the_file_untouched(path: Path) -> None:
    target = path.parent / "precious"
    target.write_text("precious")
    path.symlink_to(target)
    with pytest.raises(SettingError, match="symbolic link"):
        PidFile(str(path))
    assert target.read_text() == "precious"


def test_second_name_of_another_file_is_replaced_and_the_file_untouched(path: Path) -> None:
    target = path.parent / "precious"
    target.write_text("precious")
    os.link(target, path)
    PidFile(str(path))
    assert target.read_text() == "precious"


def test_pipe_in_its_place_is_refused_without_waiting(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(SettingError, match="not a regular file"):
        PidFile(str(path))


def test_directory_in_its_place_is_refused(path: Path) -> None:
    path.mkdir()
    with pytest.raises(SettingError, match="not a regular file"):
        PidFile(str(path))


def test_file_of_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text("7\n")
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(SettingError, match=f"belongs to user {path.stat().st_uid}"):
        PidFile(str(path))


def test_directory_that_is_not_there_is_told(path: Path) -> None:
    with pytest.raises(SettingError, match=r"No such file or directory\. Make it first"):
        PidFile(str(path / "deeper.pid"))


def test_directory_in_which_everybody_may_replace_files_is_refused(path: Path) -> None:
    path.parent.chmod(0o777)
    with pytest.raises(SettingError, match="everybody may replace files"):
        PidFile(str(path))
    # As /tmp is: only the owner of a file may replace it.
    path.parent.chmod(0o1777)
    PidFile(str(path)).remove()


def test_draft_that_a_killed_server_left_is_no_obstacle(path: Path) -> None:
    draft = path.parent / f"shop.pid.{os.getpid()}"
    draft.write_text("1\n")
    PidFile(str(path))
    assert os.listdir(path.parent) == ["shop.pid"]
