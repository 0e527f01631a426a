"""The parent process: owns the listeners, starts and replaces generations of workers, stops them all.

It never imports the application, so nothing that the application does can stop it. It has one thread, so that
it may fork at any time.
"""

from __future__ import annotations

import functools
import os
import signal
import time

from ._engine import adopt_orphans
from .announcer import Announcer
from .control import ControlServer
from .cpus import MOST_WORKERS
from .errors import AppImportError, AppLoadError, BarkeepError, SettingError
from .generation import Generation
from .hooks import Hooks
from .launcher import Launcher, reason_of
from .loop import Loop
from .places import Places
from .process_log import ProcessLog
from .reloading import Reloader
from .signals import Signals
from .supervisor_commands import SupervisorCommands
from .systemd_notify import Notifier
from .upgrade import Inheritance, Upgrader
from .watchman import Watchman

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .channel import Message
    from .launcher import WorkerProcess
    from .listeners import Listener
    from .reload_watch import ReloadWatch
    from .settings import Settings

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
    directory: where it was started; --chdir is relative to it. environ: as it was then.
    control: the control socket, or None; we close it too.
    inheritance: in an upgrade, what is taken over from the supervisor before this one.
    """

    def __init__(
        self,
        target: str,
        settings: Settings,
        listeners: Sequence[Listener],
        load_settings: Callable[[], Settings],
        directory: str,
        environ: Mapping[str, str],
        control: Listener | None = None,
        inheritance: Inheritance | None = None,
        hooks: Hooks | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        self.began_s = time.monotonic()
        self.target = target
        self.settings = settings
        self.listeners = list(listeners)
        self.load_settings = load_settings
        self.directory = directory
        self.environ = dict(environ)
        self.log = ProcessLog(settings.log_level)
        self.loop = Loop(self.log.fault)
        self.places = Places()
        # Those that live, the oldest first; at most one is on trial.
        self.generations: list[Generation] = []
        self.current: Generation | None = None
        self.hooks = hooks or Hooks(None, self.log.write)
        self.announcer = Announcer(
            settings, self.hooks, notifier or Notifier(), is_upgrade=inheritance is not None
        )
        self.reloader = Reloader(self)
        self.upgrader = Upgrader(self)
        self.watchman = Watchman(self)
        commands = SupervisorCommands(self)
        self.control: ControlServer | None = None
        if control is not None:
            self.control = ControlServer(control, commands.handle, self.log.write)
            if inheritance is None:
                # Else the supervisor before this one listens there until we are ready.
                self.loop.source = self.control
        self.is_stopping = False
        self._inheritance = inheritance
        self._when_stopped: list[Callable[[int], None]] = []
        self._generations_made = 0
        self._exit_code: int | None = None
        self._failure: Message | None = None
        self._aborted = 0
        self._is_handed_over = False
        # Of the supervisor that took over; None while it lives.
        self._exit_code_of_next: int | None = None
        self._sources: ReloadWatch | None = None

    def run(self) -> int:
        """Serve until a signal or a command stops it; the result is the exit code.

        Raises what kept the first generation from serving: AppLoadError or SettingError.
        """
        adopt_orphans()
        with Signals(HANDLED) as signals:
            self._signals = signals
            self.loop.watch(signals.fileno(), self._take_signals)
            self.announcer.starting([listener.url for listener in self.listeners])
            first = self.make_generation(self.settings, self.listeners)
            first.on_ready = self._first_is_ready
            first.on_failed = self._first_has_failed
            first.start(self.workers_wanted(self.settings), settle_s=0.0)
            if self.settings.reload:
                self._watch_sources()
            while self._exit_code is None:
                self.loop.turn()
        if self.control is not None:
            self.control.dismiss("the server has stopped meanwhile.")
            self.control.close()
        if self._sources is not None:
            self._sources.close()
        self.places.close()
        self.announcer.ended()
        if self._failure is not None:
            raise _error_of(self._failure)
        return self._exit_code

    # -- generations --------------------------------------------------------------------------------

    def make_generation(self, settings: Settings, listeners: Sequence[Listener]) -> Generation:
        """A generation that has not started yet. The caller sets its callbacks and starts it."""
        self._generations_made += 1
        make_launcher = functools.partial(self._make_launcher, settings, listeners, self._generations_made)
        generation = Generation(make_launcher, self.loop, self.log, self.places, self._reason_of)
        generation.on_gone = self._is_gone
        self.generations.append(generation)
        return generation

    def workers_wanted(self, settings: Settings) -> int:
        """How many workers these settings mean."""
        return self.watchman.choose_workers(settings.workers)

    def workers_by_slot(self) -> list[WorkerProcess]:
        """Every living worker; those of one slot the oldest first."""
        workers = [worker for generation in self.generations for worker in generation.workers]
        return sorted(workers, key=lambda worker: (worker.slot, worker.began_s))

    def state(self) -> str:
        """What the server as a whole is doing, for status."""
        if self.is_stopping:
            return "stopping"
        if self.current is None:
            return "starting"
        return "reloading" if self.reloader.is_under_way else "serving"

    def _make_launcher(self, settings: Settings, listeners: Sequence[Listener], number: int) -> Launcher:
        kind: type[Launcher] = Launcher
        if settings.preload:
            from .zygote import ZygoteLauncher

            kind = ZygoteLauncher
        directory = os.path.join(self.directory, settings.chdir)
        scoreboard = self.places.scoreboard.fileno()
        return kind(
            settings, self.target, listeners, number, directory, scoreboard, self.hooks, self._in_child
        )

    def _first_is_ready(self, generation: Generation) -> None:
        self.current = generation
        auto = self.watchman.choose_workers("auto")
        self.log.info(
            f"workers: {generation.wanted}, with {generation.settings.threads} threads each; "
            f"--workers auto would be {auto} here"
        )
        if self._inheritance is not None:
            self._inheritance.tell_ready()
            self.loop.source = self.control
        for listener in self.listeners:
            self.log.info(f"listening on {listener.url}" + (" for probes" if listener.is_health else ""))
        self.announcer.serving(generation.number)

    def _first_has_failed(self, _generation: Generation, failure: Message) -> None:
        self._failure = failure

    def _is_gone(self, generation: Generation) -> None:
        self.generations.remove(generation)
        self._aborted += generation.aborted
        self._end_if_all_is_done()

    def _end_if_all_is_done(self) -> None:
        if self.generations or not (self.is_stopping or self._failure is not None):
            return
        if self._is_handed_over and os.getpid() == 1 and self._exit_code_of_next is None:
            # The container lives as long as process 1: it stays, and stands in front of the new supervisor.
            return
        self._exit_code = self._exit_code_of_next or (EXIT_ABORTED if self._aborted else EXIT_DONE)
        for call in self._when_stopped:
            call(self._aborted)

    def _in_child(self) -> None:
        """After a fork, in the child: what is the supervisor's alone is closed and forgotten."""
        self._signals.__exit__(None, None, None)
        self.upgrader.abandon()
        self.announcer.in_child()
        if self._sources is not None:
            self._sources.close()
        if self.control is not None:
            self.control.abandon()
        for generation in self.generations:
            generation.abandon()

    # -- --reload ------------------------------------------------------------------------------------

    def _watch_sources(self) -> None:
        from .reload_watch import ReloadWatch, directories_to_watch

        directory = os.path.join(self.directory, self.settings.chdir)
        directories = directories_to_watch(self.settings, directory)
        self._sources = ReloadWatch(directories, self.settings.config, self._in_child)
        self.loop.watch(self._sources.fileno(), self._sources_changed)

    def _sources_changed(self) -> None:
        sources = self._sources
        changed = sources.take() if sources is not None else ""
        if sources is not None and changed is None:
            self.log.warning(sources.failure)
            self.loop.forget(sources.fileno())
            sources.close()
            self._sources = None
        elif changed and not self.is_stopping:
            self.log.info(f"changed: {changed}")
            self.reloader.ask()

    # -- signals ------------------------------------------------------------------------------------

    def _take_signals(self) -> None:
        for number in self._signals.take():
            if self._is_handed_over and self._exit_code_of_next is None and number != signal.SIGCHLD:
                os.kill(self.upgrader.pid, number)
            else:
                self._obey(number)

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
            case signal.SIGUSR2 if not self.is_stopping:
                self.upgrader.ask()
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
            reason = self._reason_of(status)
            for generation in list(self.generations):
                generation.process_has_ended(pid, reason, is_clean=status == 0)
            if self._is_handed_over and pid == self.upgrader.pid:
                # What we have not finished goes on.
                self._exit_code_of_next = os.waitstatus_to_exitcode(status) % 256
                self._end_if_all_is_done()

    def _reason_of(self, status: int) -> str:
        reason = reason_of(status)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            reason += ": out of memory" if self.watchman.ran_out_of_memory() else ""
        return reason

    # -- what operators ask for ---------------------------------------------------------------------

    def reopen_logs(self) -> None:
        """Have every worker open its access log anew."""
        for generation in self.generations:
            generation.tell_all("reopen_logs")

    def scale(self, workers: int) -> None:
        """Have so many workers, at least one and at most what --workers takes."""
        if self.current is not None and not self.is_stopping:
            workers = min(max(1, workers), MOST_WORKERS)
            self.log.info(f"workers from now on: {workers}")
            self.current.scale(workers)

    def stop(self, why: str) -> None:
        """Take nothing new, finish what was begun, end; with --lame-duck, go on for a while first."""
        if self.is_stopping:
            return
        self.is_stopping = True
        self.log.info(why)
        self.announcer.stopping(why.partition(":")[0])
        self.upgrader.stop()
        if self.settings.lame_duck and self.generations:
            self.log.info(f"accepting for {self.settings.lame_duck:g} s more (--lame-duck)")
            for generation in self.generations:
                generation.be_lame_duck()
            self.loop.after(self.settings.lame_duck, self._drain_all)
        else:
            self._drain_all()

    def abort(self, why: str) -> None:
        """End now; what is unfinished is cut and logged."""
        self.is_stopping = True
        self._aborted += 1
        self.log.warning(why)
        self.upgrader.stop()
        self._close_listeners()
        for generation in list(self.generations):
            generation.abort()
        self._end_if_all_is_done()

    def when_stopped(self, call: Callable[[int], None]) -> None:
        """Call at the very end, with how many workers had to abort something."""
        self._when_stopped.append(call)

    def hand_over(self, pid: int) -> None:
        """Another supervisor serves now: let go of all that it has too, finish what was begun."""
        self.log.info(f"upgrade: process {pid} serves now; finishing what was begun")
        self._is_handed_over = True
        for listener in self.listeners:
            listener.disown()
        if self.control is not None:
            self.control.dismiss("another supervisor has taken over meanwhile. Ask again.")
            self.control.listener.disown()
            self.control.abandon()
            self.loop.source = None
        self.is_stopping = True
        self._drain_all()

    def _drain_all(self) -> None:
        self._close_listeners()
        for generation in list(self.generations):
            generation.drain("the server stops", self.settings.graceful_timeout)
        self._end_if_all_is_done()

    def _close_listeners(self) -> None:
        for listener in self.listeners:
            listener.close()


def _error_of(failure: Message) -> BarkeepError:
    """What a worker said kept it from serving, as the error it was."""
    why, traceback_text = str(failure.get("why")), str(failure.get("traceback", ""))
    if failure.get("code") == 2:
        return SettingError(why)
    if traceback_text:
        return AppImportError(why, traceback_text)
    return AppLoadError(why)
