"""The file with the supervisor's process id: safe against stale, linked and hostile files.

A lock says whether a server still holds the file, not the number in it: process ids are used again, and in a
container every server is process 1. The kernel drops the lock with the process, and forked workers do not
inherit it (fcntl(2), advisory record locks).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from .errors import SettingError

MODE = 0o644

# Longest file that can be one of ours; what is there is never trusted, only shown.
MAX_PID_BYTES = 20

# Times that another server may get in between two of our steps before we give up.
ATTEMPTS = 5


class PidFile:
    """A written file, held until `remove` or the end of the process.

    It must be used by one process: closing a descriptor of the file anywhere in it would drop the lock.
    """

    __slots__ = ("_descriptor", "_file_id", "path")

    def __init__(self, path: str) -> None:
        """Write the id of this process. Raises SettingError when the path is held or cannot be used."""
        # The application or a setting may change the directory later.
        self.path = os.path.abspath(path)
        _check_directory(self.path)
        try:
            self._descriptor = _place(self.path)
        except OSError as error:
            raise _refusal(self.path, f"{error.strerror}. Choose another path") from None
        self._file_id = _id_of(os.fstat(self._descriptor))

    def remove(self) -> None:
        """Remove the file if it is still the one we wrote, and let go of it."""
        if self._descriptor < 0:
            return
        try:
            if _id_of(os.lstat(self.path)) == self._file_id:
                os.unlink(self.path)
        except OSError:
            # Somebody has removed it, or the directory: nothing is left to do.
            pass
        self.hand_over()

    def hand_over(self) -> None:
        """Let go of the file and leave it, for the server that takes our place (PidFile(path) there).

        When that server does not come up, PidFile(path) here takes it back.
        """
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _place(path: str) -> int:
    """Put a file of ours at the path; the descriptor that holds its lock. Raises OSError and SettingError."""
    draft = f"{path}.{os.getpid()}"
    descriptor = _open_new(draft)
    try:
        os.fchmod(descriptor, MODE)
        # Locked before it has its name: whoever finds it finds it held.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(descriptor, f"{os.getpid()}\n".encode("ascii"))
        _name(draft, path)
    except BaseException:
        os.close(descriptor)
        _unlink(draft)
        raise
    return descriptor


def _open_new(path: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, MODE)
    except FileExistsError:
        # Left by a server that was killed between two steps, with the process id that we have now.
        os.unlink(path)
        return os.open(path, flags, MODE)


def _name(draft: str, path: str) -> None:
    """Give the draft its name. Raises OSError and SettingError."""
    for _ in range(ATTEMPTS):
        try:
            os.link(draft, path, follow_symlinks=False)
        except FileExistsError:
            if _replace_stale(draft, path):
                return
        else:
            os.unlink(draft)
            return
    raise _refusal(path, "other servers write it at the same time. Give each its own")


def _replace_stale(draft: str, path: str) -> bool:
    """Put the draft in the place of a file that nobody holds; False when another file is there by now."""
    try:
        stale = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _refusal(path, "a symbolic link is there. Remove it, or choose another path") from None
        if error.errno in (errno.EISDIR, errno.ENXIO, errno.ENODEV):
            raise _refusal(path, "it is not a regular file. Choose another path") from None
        raise
    try:
        _check_ours(path, os.fstat(stale))
        try:
            fcntl.lockf(stale, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            raise _refusal(
                path, f"a running server holds it{_told_pid(stale)}. Stop it, or choose another path"
            ) from None
        if _id_of(os.fstat(stale)) != _id_of(os.lstat(path)):
            return False
        os.rename(draft, path)
        return True
    except FileNotFoundError:
        return False
    finally:
        os.close(stale)


def _check_ours(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _refusal(path, "it is not a regular file. Choose another path")
    if status.st_uid != os.geteuid():
        raise _refusal(path, f"it belongs to user {status.st_uid}. Remove it, or choose another path")


def _check_directory(path: str) -> None:
    """Raises SettingError for a directory in which anybody may replace our file by theirs."""
    directory = os.path.dirname(path)
    try:
        mode = os.stat(directory).st_mode
    except OSError as error:
        raise _refusal(path, f"{directory}: {error.strerror}. Make it first, or choose another") from None
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise _refusal(path, f"everybody may replace files in {directory}. Choose another directory")


def _told_pid(descriptor: int) -> str:
    """The process id in a file, for people; "" when it is none."""
    text = os.pread(descriptor, MAX_PID_BYTES, 0).strip()
    return f" (process {text.decode('ascii')})" if text.isdigit() else ""


def _id_of(status: os.stat_result) -> tuple[int, int]:
    # Our descriptor keeps the inode from being given to another file.
    return status.st_dev, status.st_ino


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def _refusal(path: str, why: str) -> SettingError:
    return SettingError(f'--pid-file cannot be "{path}": {why}.')
