"""With --reload: a small process that watches the source files and says when one has changed.

A process, because the supervisor has one thread and forks. watchfiles does the watching (docs/adr/0009).
Python, built extension modules and files of settings count. Templates and static files do not: while one
develops, whatever reads them reads them again by itself, and an import for each of their edits is a wait.
"""

from __future__ import annotations

import os
import signal

from .channel import Channel
from .errors import SettingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Protocol

    from .settings import Settings

    class StopEvent(Protocol):
        """What the watching library asks whether to go on."""

        def is_set(self) -> bool:
            """Asked about twenty times a second, from when the watching has begun."""

    class Watch(Protocol):
        """`watchfiles.watch`, as far as it is used here: yields sets of (kind of change, path)."""

        def __call__(
            self,
            *paths: str,
            watch_filter: Callable[[object, str], bool],
            stop_event: StopEvent,
            raise_interrupt: bool,
            ignore_permission_denied: bool,
        ) -> Iterable[Iterable[tuple[int, str]]]: ...


SOURCE_SUFFIXES = (".py", ".so")
SOURCE_NAMES = (".env", "barkeep.toml", "pyproject.toml")
# Below these nothing is anybody's own source; neither is it below a directory whose name begins with a dot.
IGNORED_DIRECTORIES = ("__pycache__", "node_modules", "site-packages")
# Files that editors and their checkers make beside the one that is edited.
IGNORED_PREFIXES = (".#", "#", "flycheck_")

# Files of one change that are named; the others are counted.
NAMED_FILES = 3
LONGEST_NAME_CHARS = 200

# Signals that reach the whole process group. This process ends with its supervisor, not before.
IGNORED_SIGNALS = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


class ReloadWatch:
    """The supervisor's side of the process, which ends when this is closed and when the supervisor has gone.

    Whoever makes it closes it, takes the exit status of `pid`, and closes it in every other child that is
    forked meanwhile: a copy would keep the process alive.
    """

    def __init__(self, directories: Sequence[str], config: str, in_child: Callable[[], None]) -> None:
        """Start the process.

        directories: see `directories_to_watch`. config: the file of --config, or "".
        in_child: called in the new process; closes what only the parent may hold.
        Raises SettingError when watchfiles is not installed, OSError when there can be no more processes.
        """
        check_library()
        # False until the process has told that changes from now on will be seen.
        self.is_watching = False
        # Why it has ended.
        self.failure = "the process that watches has ended"
        self._channel, theirs = Channel.pair()
        try:
            self.pid = os.fork()
        except OSError:
            self._channel.close()
            theirs.close()
            raise
        if self.pid == 0:
            try:
                in_child()
                self._channel.close()
                for number in IGNORED_SIGNALS:
                    signal.signal(number, signal.SIG_IGN)
                watch_and_tell(theirs, directories, config)
                os._exit(0)
            finally:
                # Whatever went wrong: this process is not the supervisor.
                os._exit(1)
        theirs.close()

    def fileno(self) -> int:
        """Readable when there is something to take."""
        return self._channel.fileno()

    def take(self) -> str | None:
        """What has changed, such as "app.py, views.py and 4 more"; "" for nothing; None when it has ended.

        Does not wait. After None the caller closes it; `failure` says why.
        """
        messages = self._channel.receive()
        if messages is None:
            return None
        changed: list[str] = []
        for message in messages:
            match message.get("is"):
                case "watching":
                    self.is_watching = True
                case "changed":
                    changed.append(str(message.get("what")))
                case "failed":
                    self.failure = str(message.get("why"))
        return ", ".join(changed)

    def close(self) -> None:
        """Have the process end."""
        self._channel.close()


def check_library() -> None:
    """Raises SettingError, with the way to get it, when there is no watchfiles."""
    # Both are for development only, where the supervisor's memory does not matter.
    from importlib.util import find_spec

    if find_spec("watchfiles") is None:
        raise SettingError("--reload needs the package watchfiles. Run: pip install 'barkeep[reload]'.")


def directories_to_watch(settings: Settings, directory: str) -> list[str]:
    """Absolute paths, none twice: --reload-dir, or else where the application is imported from.

    directory: the one the application is loaded in; the others are relative to it.
    Raises SettingError for a directory of --reload-dir that is none.
    """
    for path in settings.reload_dir:
        if not os.path.isdir(os.path.join(directory, path)):
            raise SettingError(
                f'--reload-dir must be a directory, found "{path}" ({settings.origins["reload_dir"]}).'
            )
    paths = settings.reload_dir or (".", *settings.pythonpath)
    # Real ones, for some systems report changes by them.
    real = [os.path.realpath(os.path.join(directory, path)) for path in paths]
    return [path for path in dict.fromkeys(real) if os.path.isdir(path)]


def is_source(path: str, directories: Iterable[str], config: str = "") -> bool:
    """Whether a new generation would differ by this file, which lies in one of the watched directories."""
    return any(
        _is_source_below(path[len(directory.rstrip("/")) + 1 :], config)
        for directory in directories
        if path.startswith(directory.rstrip("/") + "/")
    )


def watch_and_tell(
    channel: Channel, directories: Sequence[str], config: str, watch: Watch | None = None
) -> None:
    """In the process that watches: say what changes until the supervisor has gone. Says why when it cannot.

    watch: instead of that of watchfiles.
    """
    try:
        if watch is None:
            import watchfiles

            watch = watchfiles.watch
        for changes in _changes(watch, directories, config, _SupervisorGone(channel)):
            channel.send({"is": "changed", "what": _names([path for _kind, path in changes], directories)})
    except Exception as error:  # the library has errors of its own, and the system its limits
        channel.send({"is": "failed", "why": f"--reload cannot watch any more: {error}"})


def _changes(
    watch: Watch, directories: Sequence[str], config: str, stop_event: StopEvent
) -> Iterable[Iterable[tuple[int, str]]]:
    """Changes of sources. A directory that may not be read, as a database's, does not keep others from it."""
    # Not at once with True: a directory that is missing, or one too many for the system, would be silent too.
    for ignore_permission_denied in (False, True):
        try:
            yield from watch(
                *directories,
                watch_filter=lambda _kind, path: is_source(path, directories, config),
                stop_event=stop_event,
                raise_interrupt=False,
                ignore_permission_denied=ignore_permission_denied,
            )
            return
        except PermissionError:
            if ignore_permission_denied:
                raise


class _SupervisorGone:
    """Set when the other end of the channel has been closed. Asking shows that the watching has begun."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._has_told = False

    def is_set(self) -> bool:
        if not self._has_told:
            self._has_told = True
            self._channel.send({"is": "watching"})
        return self._channel.receive() is None


def _is_source_below(relative: str, config: str) -> bool:
    *parents, name = relative.split("/")
    if any(parent.startswith(".") or parent in IGNORED_DIRECTORIES for parent in parents):
        return False
    if name in SOURCE_NAMES or (config and name == os.path.basename(config)):
        return True
    return name.endswith(SOURCE_SUFFIXES) and not name.startswith(IGNORED_PREFIXES)


def _names(paths: Iterable[str], directories: Iterable[str]) -> str:
    """The files as a log may show them: below their directory, printable, bounded."""
    short = sorted({_shown(path, directories) for path in paths})
    more = f" and {len(short) - NAMED_FILES} more" if len(short) > NAMED_FILES else ""
    return ", ".join(short[:NAMED_FILES]) + more


def _shown(path: str, directories: Iterable[str]) -> str:
    for directory in directories:
        path = path.removeprefix(directory.rstrip("/") + "/")
    # Surrogates, which stand for bytes that are no UTF-8, are not printable either.
    shown = "".join(character if character.isprintable() else "?" for character in path)
    return shown[-LONGEST_NAME_CHARS:]
