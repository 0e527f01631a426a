"""Steps 1 to 6 in one process - a worker: load the application, serve when told, drain, end.

The main thread obeys the supervisor and never calls the application once it serves. Should the supervisor
disappear, the worker finishes what was begun and ends: nobody is left to replace or to stop it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from .channel import Channel
from .errors import AppImportError, AppLoadError, BarkeepError, SettingError
from .loop import Loop, Timer
from .process_log import ProcessLog
from .process_title import set_title, worker_title
from .signals import Signals
from .thread_stacks import write_on_signal
from .warm_up import warm_up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn
    from wsgiref.types import WSGIApplication

    from .channel import Message
    from .hooks import Hooks
    from .listeners import Listener
    from .server import Service
    from .settings import Settings

EXIT_FINISHED = 0
EXIT_ABORTED = 1
EXIT_SETTINGS = 2
EXIT_APPLICATION = 3

# TERM asks the supervisor for a replacement; INT comes from a terminal to everybody and is the supervisor's.
HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGQUIT)

# All stacks are written for this one, even while the GIL is held (thread_stacks.py).
STACKS_SIGNAL = signal.SIGUSR2

# How long between two looks whether all has left, while draining.
DRAIN_LOOK_S = 0.05

_slot: int | None = None


def worker_slot() -> int | None:
    """The stable number, from 0, of the worker that calls; None outside a worker."""
    return _slot


class Job:
    """What one worker is to do. The channel and the descriptor for stacks belong to it from the fork on."""

    __slots__ = (
        "channel",
        "directory",
        "generation",
        "hooks",
        "listeners",
        "place",
        "scoreboard",
        "settings",
        "slot",
        "stacks",
        "target",
    )

    def __init__(
        self,
        settings: Settings,
        target: str,
        listeners: Sequence[Listener],
        *,
        directory: str,
        scoreboard: int,
        hooks: Hooks,
        slot: int,
        place: int,
        generation: int,
        channel: Channel,
        stacks: int,
    ) -> None:
        self.settings = settings
        self.target = target
        self.listeners = listeners
        self.directory = directory
        self.scoreboard = scoreboard
        self.hooks = hooks
        self.slot = slot
        self.place = place
        self.generation = generation
        self.channel = channel
        self.stacks = stacks


def run_worker(job: Job, application: WSGIApplication | None = None) -> NoReturn:
    """Be a worker until the end of the process. application: when a zygote has loaded it already."""
    code = EXIT_ABORTED
    try:
        with Signals(HANDLED) as signals:
            signals.stay_in_this_process()
            code = Worker(job, signals).run(application)
    except BaseException as error:
        ProcessLog(job.settings.log_level).fault(error)
    leave(code)


def leave(code: int) -> NoReturn:
    """End a forked process: what the application registered runs, what belongs to the parent does not."""
    import atexit

    try:
        atexit._run_exitfuncs()  # noqa: SLF001 - os._exit would skip them
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


class Worker:
    """One worker process, from the fork to its exit code."""

    def __init__(self, job: Job, signals: Signals) -> None:
        global _slot
        _slot = job.slot
        self._job = job
        self._settings = job.settings
        self._signals = signals
        self._log = ProcessLog(job.settings.log_level)
        self._loop = Loop(self._log.fault)
        self._service: Service | None = None
        self._application: WSGIApplication = _no_application
        self._exit_code: int | None = None
        self._is_draining = False
        self._next_look = Timer.never()

    def run(self, application: WSGIApplication | None) -> int:
        """Load, tell, and obey until there is an exit code."""
        self._prepare()
        try:
            if application is None:
                enter(self._settings, self._job.directory)
            service = self._make_service()
            if application is None:
                application = load(self._settings, self._job.target)
                self._job.hooks.generation_loaded(generation=self._job.generation, pid=os.getpid())
            # An extension that it imports may have brought the GIL back.
            write_on_signal(STACKS_SIGNAL, self._job.stacks)
            warm_up(application, self._settings)
        except BarkeepError as error:
            self._tell(describe_failure(error))
            return EXIT_APPLICATION if isinstance(error, AppLoadError) else EXIT_SETTINGS
        self._service, self._application = service, application
        self._tell({"is": "loaded", "pid": os.getpid()})
        self._loop.watch(self._job.channel.fileno(), self._hear)
        self._loop.watch(self._signals.fileno(), self._take_signals)
        while self._exit_code is None:
            self._loop.turn()
        reason = "finished" if self._exit_code == EXIT_FINISHED else "aborted"
        job = self._job
        job.hooks.worker_exiting(slot=job.slot, generation=job.generation, pid=os.getpid(), reason=reason)
        return self._exit_code

    def _prepare(self) -> None:
        job = self._job
        write_on_signal(STACKS_SIGNAL, job.stacks)
        set_title(worker_title(job.slot, job.generation))
        job.hooks.log = self._log.write
        job.hooks.worker_started(slot=job.slot, generation=job.generation, pid=os.getpid())
        for listener in job.listeners:
            listener.disown()
        sys.setswitchinterval(self._settings.switch_interval)

    def _make_service(self) -> Service:
        from .server import Seat, Service

        job = self._job
        seat = Seat(job.scoreboard, job.place, job.slot, job.generation)
        service = Service(
            self._settings,
            job.listeners,
            seat,
            watches_itself=False,
            on_too_many_stuck=self._ask_for_replacement,
            on_timed_out=self._call_hook,
        )
        if any(listener.is_health for listener in job.listeners):
            service.answer_probes()
        return service

    # -- what the supervisor says -------------------------------------------------------------------

    def _hear(self) -> None:
        messages = self._job.channel.receive()
        if messages is None:
            self._loop.forget(self._job.channel.fileno())
            self._log.error("the supervisor has gone: finishing what was begun")
            return self._drain(self._settings.graceful_timeout)
        for message in messages:
            self._obey(message)
        return None

    def _obey(self, message: Message) -> None:
        service = self._service
        match message.get("do"):
            case "serve" if service is not None:
                self._serve(service)
            case "drain":
                self._drain(float(message["timeout_s"]))
            case "abort":
                self._abort()
            case "kill_request" if service is not None:
                service.engine.kill_request(message["connection"], message["number"])
            case "lame_duck" if service is not None:
                service.engine.lame_duck()
            case "reopen_logs" if service is not None:
                service.engine.reopen_logs()
            case unknown:
                self._log.error(f"the supervisor said what a worker does not know: {unknown!r}")

    def _take_signals(self) -> None:
        for number in self._signals.take():
            if number == signal.SIGTERM:
                self._tell({"is": "asked_to_stop"})
            elif number == signal.SIGUSR1 and self._service is not None:
                self._service.engine.reopen_logs()
            elif number == signal.SIGQUIT:
                self._abort()

    # -- serving ------------------------------------------------------------------------------------

    def _serve(self, service: Service) -> None:
        job = self._job
        job.hooks.worker_ready(slot=job.slot, generation=job.generation, pid=os.getpid())
        try:
            service.start(self._application)
        except BarkeepError as error:
            self._tell(describe_failure(error))
            self._exit_code = EXIT_SETTINGS
            return
        if service.watch is not None:
            self._loop.watch(service.watch.fileno(), self._look_after_deadlines)
        threading.Thread(target=self._tell_end, args=(service,), name="barkeep-end", daemon=True).start()
        self._tell({"is": "serving"})

    def _tell_end(self, service: Service) -> None:
        service.engine.wait()
        # Now already: an engine that has failed must be told at once.
        self._signals.wake()
        service.wait_until_finished(None)
        self._signals.wake()

    def _look_after_deadlines(self) -> None:
        watch = self._service.watch if self._service is not None else None
        if watch is None:
            return
        watch.look()
        next_look_s = watch.next_look_s()
        if next_look_s is not None:
            self._next_look.cancel()
            self._next_look = self._loop.after(next_look_s, self._look_after_deadlines)

    def _ask_for_replacement(self) -> None:
        self._tell({"is": "stuck", "why": "too many of its threads never came back (--max-stuck-threads)"})

    def _call_hook(self, request: str, age_s: float, ident: int, stack: str) -> None:
        self._job.hooks.request_timed_out(
            slot=self._job.slot, request=request, age_s=age_s, thread_ident=ident, stack=stack
        )

    # -- the end ------------------------------------------------------------------------------------

    def _drain(self, timeout_s: float) -> None:
        if self._service is None or not self._service.is_running:
            self._exit_code = EXIT_FINISHED
            return
        if not self._is_draining:
            self._is_draining = True
            self._service.drain()
            self._service.engine.log("info", f"worker {self._job.slot}: draining")
        self._give_up_at_s = self._loop.now_s() + timeout_s
        self._look_whether_finished()

    def _look_whether_finished(self) -> None:
        service = self._service
        if service is None or self._exit_code is not None:
            return
        if service.wait_until_finished(0):
            service.close()
            self._exit_code = EXIT_FINISHED
        elif self._loop.now_s() >= self._give_up_at_s:
            self._abort()
        else:
            self._loop.after(DRAIN_LOOK_S, self._look_whether_finished)

    def _abort(self) -> None:
        service = self._service
        if service is not None and service.is_running:
            service.log_stacks("aborted")
            service.close()
        self._exit_code = EXIT_ABORTED

    def _tell(self, message: Message) -> None:
        self._job.channel.send(message)


def _no_application(_environ: object, _start_response: object, /) -> NoReturn:
    raise RuntimeError("nothing is loaded yet")


def enter(settings: Settings, directory: str) -> None:
    """Go where the application is, and become who the settings say: before anything is opened or imported.

    directory: entered anew, for it may be a link that names another release now. Raises SettingError.
    """
    from .app_loader import prepare_import_path
    from .privileges import drop, resolve, set_umask

    try:
        os.chdir(directory)
    except OSError as error:
        raise SettingError(
            f'the working directory "{directory}" cannot be entered: {error.strerror}.'
        ) from None
    prepare_import_path(settings.pythonpath)
    set_umask(settings.umask)
    account = resolve(settings.user, settings.group)
    if account is not None:
        drop(account)


def load(settings: Settings, target: str) -> WSGIApplication:
    """Import the application and put its middlewares around it. Raises AppLoadError or SettingError."""
    from .app_loader import load_application, wrap_in_middleware

    return wrap_in_middleware(load_application(target), settings)


def describe_failure(error: BarkeepError) -> Message:
    """Why there is nothing to serve, for the supervisor."""
    code = EXIT_APPLICATION if isinstance(error, AppLoadError) else EXIT_SETTINGS
    traceback_text = error.traceback_text if isinstance(error, AppImportError) else ""
    return {"is": "failed", "why": str(error), "traceback": traceback_text[-65536:], "code": code}
