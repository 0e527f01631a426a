"""The parent process: owns the listeners, starts and replaces generations of workers, stops them all.

It never imports the application, so nothing that the application does can stop it. It has one thread, so that
it may fork at any time.
"""

from __future__ import annotations

import functools
import os
import signal

from ._engine import adopt_orphans
from .errors import AppImportError, AppLoadError, BarkeepError, SettingError
from .generation import Generation
from .launcher import Launcher, reason_of
from .loop import Loop
from .process_log import ProcessLog
from .reloading import Reloader
from .signals import Signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .channel import Message
    from .launcher import WorkerProcess
    from .listeners import Listener
    from .settings import Settings

# Worker processes at once: two generations of the most workers there can be.
PLACES = 512

EXIT_DONE = 0
EXIT_ABORTED = 1

HANDLED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGCHLD,
)


class Supervisor:
    """One running barkeep. `run` blocks; the caller owns the listeners it starts with, and closes them.

    target: what the command line calls the application. load_settings: reads all sources again, for a reload.
    directory: where it was started; --chdir is relative to it.
    """

    def __init__(
        self,
        target: str,
        settings: Settings,
        listeners: Sequence[Listener],
        load_settings: Callable[[], Settings],
        directory: str,
    ) -> None:
        self.target = target
        self.settings = settings
        self.listeners = list(listeners)
        self.load_settings = load_settings
        self._directory = directory
        self.log = ProcessLog(settings.log_level)
        self.loop = Loop(self.log.fault)
        # Those that live, the oldest first; at most one is on trial.
        self.generations: list[Generation] = []
        self.current: Generation | None = None
        self.generations_made = 0
        self.reloader = Reloader(self)
        self.is_stopping = False
        self._exit_code: int | None = None
        self._failure: Message | None = None
        self._has_aborted = False
        self._free_places = list(range(PLACES - 1, -1, -1))

    def run(self) -> int:
        """Serve until a signal or a command stops it; the result is the exit code.

        Raises what kept the first generation from serving: AppLoadError or SettingError.
        """
        adopt_orphans()
        with Signals(HANDLED) as signals:
            self._signals = signals
            self.loop.watch(signals.fileno(), self._take_signals)
            first = self.make_generation(self.settings, self.listeners)
            first.on_ready = self._first_is_ready
            first.on_failed = self._first_has_failed
            first.start(self.workers_wanted(self.settings), settle_s=0.0)
            while self._exit_code is None:
                self.loop.turn()
        if self._failure is not None:
            raise _error_of(self._failure)
        return self._exit_code

    # -- generations --------------------------------------------------------------------------------

    def make_generation(self, settings: Settings, listeners: Sequence[Listener]) -> Generation:
        """A generation that has not started yet. The caller sets its callbacks and starts it."""
        self.generations_made += 1
        generation = Generation(
            functools.partial(self._make_launcher, settings, listeners, self.generations_made),
            self.loop,
            self.log,
            self._take_place,
            self._give_place,
        )
        generation.on_gone = self._is_gone
        self.generations.append(generation)
        return generation

    def _make_launcher(self, settings: Settings, listeners: Sequence[Listener], number: int) -> Launcher:
        kind: type[Launcher] = Launcher
        if settings.preload:
            from .zygote import ZygoteLauncher

            kind = ZygoteLauncher
        directory = os.path.join(self._directory, settings.chdir)
        return kind(settings, self.target, listeners, number, directory, self._in_child)

    def workers_wanted(self, settings: Settings) -> int:
        """How many workers these settings mean."""
        return 1 if settings.workers == "auto" else int(settings.workers)

    def _first_is_ready(self, generation: Generation) -> None:
        self.current = generation
        for listener in self.listeners:
            self.log.info(f"listening on {listener.url}")

    def _first_has_failed(self, _generation: Generation, failure: Message) -> None:
        self._failure = failure

    def _is_gone(self, generation: Generation) -> None:
        self.generations.remove(generation)
        self._has_aborted = self._has_aborted or generation.has_aborted
        if not self.generations and (self.is_stopping or self._failure is not None):
            self._exit_code = EXIT_ABORTED if self._has_aborted else EXIT_DONE

    def _take_place(self) -> int:
        return self._free_places.pop()

    def _give_place(self, worker: WorkerProcess) -> None:
        self._free_places.append(worker.place)

    def _in_child(self) -> None:
        """After a fork, in the child: what is the supervisor's alone is closed and forgotten."""
        self._signals.__exit__(None, None, None)
        for generation in self.generations:
            generation.launcher.close()
            for worker in generation.workers:
                worker.close()

    # -- signals ------------------------------------------------------------------------------------

    def _take_signals(self) -> None:
        for number in self._signals.take():
            self._obey(number)

    def announce(self, what: str, **details: object) -> None:
        """Tell whoever wants to know what has happened."""
        self.log.debug(f"{what} {details}")

    def _obey(self, number: signal.Signals) -> None:
        match number:
            case signal.SIGCHLD:
                self._reap()
            case signal.SIGTERM | signal.SIGINT if not self.is_stopping:
                self.stop(f"{number.name}: finishing what was begun")
            case signal.SIGTERM | signal.SIGINT:
                self.abort(f"second {number.name}: aborting at once")
            case signal.SIGQUIT:
                self.abort("SIGQUIT: aborting at once")
            case signal.SIGHUP if not self.is_stopping:
                self.log.info("SIGHUP: loading a new generation")
                self.reloader.ask()
            case signal.SIGUSR1:
                self.reopen_logs()
            case signal.SIGTTIN | signal.SIGTTOU if self.current is not None:
                self.scale(self.current.wanted + (1 if number == signal.SIGTTIN else -1))

    def _reap(self) -> None:
        """Take the exit status of every child that has ended, also of those that were left to process 1."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for generation in list(self.generations):
                for worker in list(generation.workers):
                    if worker.pid == pid:
                        generation.has_ended(worker, reason_of(status), is_clean=status == 0)

    # -- what operators ask for ---------------------------------------------------------------------

    def reopen_logs(self) -> None:
        """Have every worker open its access log anew."""
        for generation in self.generations:
            generation.tell_all("reopen_logs")

    def scale(self, workers: int) -> None:
        """Have so many workers, at least one."""
        if self.current is not None and not self.is_stopping:
            workers = max(1, workers)
            self.log.info(f"{workers} workers from now on")
            self.current.scale(workers)

    def stop(self, why: str) -> None:
        """Take nothing new, finish what was begun, end."""
        if self.is_stopping:
            return
        self.is_stopping = True
        self.log.info(why)
        self._drain_all()

    def _drain_all(self) -> None:
        for listener in self.listeners:
            listener.close()
        for generation in list(self.generations):
            generation.drain("the server stops", self.settings.graceful_timeout)
        if not self.generations:
            self._exit_code = EXIT_DONE

    def abort(self, why: str) -> None:
        """End now; what is unfinished is cut and logged."""
        self.is_stopping = True
        self._has_aborted = True
        self.log.warning(why)
        for listener in self.listeners:
            listener.close()
        for generation in list(self.generations):
            generation.abort()
        if not self.generations:
            self._exit_code = EXIT_ABORTED


def _error_of(failure: Message) -> BarkeepError:
    """What a worker said kept it from serving, as the error it was."""
    why, traceback_text = str(failure.get("why")), str(failure.get("traceback", ""))
    if failure.get("code") == 2:
        return SettingError(why)
    if traceback_text:
        return AppImportError(why, traceback_text)
    return AppLoadError(why)
