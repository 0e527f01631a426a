"""control_path.py: server and commands agree on the socket; directories others can change are not used."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from barkeep.control_path import default_path, find_path, open_control_socket, runtime_directories
from barkeep.errors import ListenError, SettingError

ME = os.geteuid()


def test_directories_are_tried_from_the_service_to_the_shared_one() -> None:
    environ = {"RUNTIME_DIRECTORY": "/run/shop:/run/other", "XDG_RUNTIME_DIR": "/run/user/7"}
    assert runtime_directories(environ, uid=7) == [
        "/run/shop",
        "/run/user/7/barkeep",
        "/run/barkeep",
        "/tmp/barkeep-7",
    ]


def test_relative_directories_of_the_environment_are_not_used() -> None:
    environ = {"RUNTIME_DIRECTORY": "shop", "XDG_RUNTIME_DIR": ""}
    assert runtime_directories(environ, uid=7) == ["/run/barkeep", "/tmp/barkeep-7"]


def test_default_path_is_in_the_first_directory_that_can_be_written(tmp_path: Path) -> None:
    environ = {"RUNTIME_DIRECTORY": str(tmp_path / "missing" / "deep"), "XDG_RUNTIME_DIR": str(tmp_path)}
    assert default_path("shop", environ, ME) == f"{tmp_path}/barkeep/shop.sock"


def test_default_path_is_in_tmp_when_there_is_nothing_better(tmp_path: Path) -> None:
    assert default_path("shop", {}, 7, root=str(tmp_path)) == f"{tmp_path}/tmp/barkeep-7/shop.sock"


@pytest.mark.parametrize("name", ["../shop", "a/b", ".hidden", "caf\u00e9", "a b"])
def test_name_that_is_no_file_name_is_an_error_with_a_way_out(name: str) -> None:
    with pytest.raises(SettingError, match="--control-socket"):
        default_path(name, {}, ME)


def test_command_finds_the_socket_that_a_server_with_another_environment_opened(tmp_path: Path) -> None:
    (tmp_path / "run" / "barkeep").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "run" / "barkeep" / "shop.sock"))
        environ = {"XDG_RUNTIME_DIR": str(tmp_path / "session")}
        assert find_path("shop", environ, ME, root=str(tmp_path)) == f"{tmp_path}/run/barkeep/shop.sock"
        assert find_path("other", environ, ME, root=str(tmp_path)) is None


def test_directory_of_a_default_path_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    listener = open_control_socket("", "shop", {"XDG_RUNTIME_DIR": str(tmp_path)}, ME)
    assert listener is not None
    assert stat.S_IMODE(os.stat(tmp_path / "barkeep").st_mode) == 0o700
    assert stat.S_IMODE(os.stat(tmp_path / "barkeep" / "shop.sock").st_mode) == 0o600
    listener.close()
    assert not (tmp_path / "barkeep" / "shop.sock").exists()


def test_directory_that_others_may_write_in_is_refused(tmp_path: Path) -> None:
    (tmp_path / "barkeep").mkdir()
    (tmp_path / "barkeep").chmod(0o777)
    with pytest.raises(ListenError, match=r"may be written by others \(mode 0777\)"):
        open_control_socket("", "shop", {"XDG_RUNTIME_DIR": str(tmp_path)}, ME)


def test_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    if ME == 0:
        # A directory of root's is always good enough.
        os.chown(tmp_path, 4711, -1)
    with pytest.raises(ListenError, match="belongs to user"):
        open_control_socket("", "shop", {"RUNTIME_DIRECTORY": str(tmp_path)}, uid=4712)


def test_link_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "barkeep").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ListenError, match="is not a directory"):
        open_control_socket("", "shop", {"XDG_RUNTIME_DIR": str(tmp_path)}, ME)


def test_second_server_of_the_same_name_is_told_what_to_do(tmp_path: Path) -> None:
    first = open_control_socket(str(tmp_path / "a.sock"), "shop", {}, ME)
    assert first is not None
    with pytest.raises(ListenError, match=r"another program listens there.*--name"):
        open_control_socket(str(tmp_path / "a.sock"), "shop", {}, ME)
    first.close()


def test_socket_of_a_server_that_was_killed_is_replaced(tmp_path: Path) -> None:
    first = open_control_socket(str(tmp_path / "a.sock"), "shop", {}, ME)
    assert first is not None
    first.socket.close()
    second = open_control_socket(str(tmp_path / "a.sock"), "shop", {}, ME)
    assert second is not None
    second.close()


def test_no_socket_is_opened_when_the_setting_is_off() -> None:
    assert open_control_socket("off", "shop", {}, ME) is None
