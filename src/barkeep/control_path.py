"""Where the control socket is: what the supervisor opens and what the commands look for, told once."""

from __future__ import annotations

import os
import stat

from .addresses import UnixAddress
from .errors import ListenError, SettingError
from .listeners import Listener, open_listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# What --control-socket takes for "none".
OFF = "off"

# Only the owner and root may even connect; the server asks the kernel who connected as well.
SOCKET_MODE = 0o600
DIRECTORY_MODE = 0o700

# Commands that may wait for the supervisor's next turn; it accepts all that are there in one go.
BACKLOG = 32

OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def runtime_directories(environ: Mapping[str, str], uid: int, root: str = "/") -> list[str]:
    """Directories for sockets of this user, the best first; none need exist.

    $RUNTIME_DIRECTORY is systemd's (systemd.exec(5), several are separated by ":"), $XDG_RUNTIME_DIR the
    session's. /run/barkeep is root's, or a service's with RuntimeDirectory=barkeep. root: for tests.
    """
    found = []
    of_service = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if os.path.isabs(of_service):
        found.append(of_service)
    of_session = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(of_session):
        found.append(os.path.join(of_session, "barkeep"))
    found.append(os.path.join(root, "run", "barkeep"))
    found.append(os.path.join(root, "tmp", f"barkeep-{uid}"))
    return found


def default_path(name: str, environ: Mapping[str, str], uid: int, root: str = "/") -> str:
    """The path that a supervisor of this name opens: in the first directory it can write in or make.

    Raises SettingError when the name cannot be part of a path.
    """
    file = _file_name(name)
    directories = runtime_directories(environ, uid, root)
    for directory in directories[:-1]:
        nearest = directory if os.path.isdir(directory) else os.path.dirname(directory)
        if os.access(nearest, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
            return os.path.join(directory, file)
    return os.path.join(directories[-1], file)


def find_path(name: str, environ: Mapping[str, str], uid: int, root: str = "/") -> str | None:
    """The path where a supervisor of this name may answer: the first socket that is there; else None.

    A command may run with another environment than the supervisor, so it looks into every directory.
    """
    file = _file_name(name)
    for directory in runtime_directories(environ, uid, root):
        path = os.path.join(directory, file)
        try:
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                return path
        except OSError:
            # Not there, or not ours to look at: the next directory.
            continue
    return None


def open_control_socket(setting: str, name: str, environ: Mapping[str, str], uid: int) -> Listener | None:
    """Open the control socket: at the path of the setting, else at the default one; None when it is off.

    A stale socket is replaced, anything else at the path is refused. The directory of a default path is made
    with mode 0700; when it is there, it must be ours alone to write in. The caller owns the listener.
    Raises ListenError and SettingError, one line.
    """
    if setting == OFF:
        return None
    path = setting or default_path(name, environ, uid)
    if not setting:
        _make_directory(os.path.dirname(path), uid)
    try:
        return open_listener(UnixAddress(path), BACKLOG, SOCKET_MODE)
    except ListenError as error:
        raise ListenError(
            f"no control socket: {error} Two servers need two names (--name) or paths (--control-socket)."
        ) from None


def _file_name(name: str) -> str:
    is_plain = name.isascii() and all(letter.isalnum() or letter in "._-" for letter in name)
    if not is_plain or name.startswith("."):
        raise SettingError(
            f"--name must be letters, digits, dots, dashes and underscores to name a socket, found {name!a}. "
            "Choose another, or a path with --control-socket."
        )
    return f"{name}.sock"


def _make_directory(directory: str, uid: int) -> None:
    """Make the directory, or check the one that is there. Raises ListenError."""
    try:
        os.mkdir(directory, DIRECTORY_MODE)
    except FileExistsError:
        pass
    except OSError as error:
        raise ListenError(
            f"no control socket: cannot make {directory} ({error.strerror}). "
            "Choose a path with --control-socket, or off."
        ) from None
    # In /tmp anyone may have made it before us, as a directory of theirs or as a link to somewhere else.
    status = os.lstat(directory)
    fault = ""
    if not stat.S_ISDIR(status.st_mode):
        fault = "is not a directory"
    elif status.st_uid not in (uid, 0):
        fault = f"belongs to user {status.st_uid}"
    elif status.st_mode & OTHERS_MAY_WRITE:
        fault = f"may be written by others (mode {stat.S_IMODE(status.st_mode):04o})"
    if fault:
        raise ListenError(
            f"no control socket: {directory} {fault}. Remove it, or choose a path with --control-socket."
        )
