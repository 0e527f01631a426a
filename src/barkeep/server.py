"""Run an application: as the process's only job (`run`, `serve`), or beside other things (`Server`)."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from ._engine import Engine
from .errors import SettingError
from .listeners import open_listeners
from .settings import Settings
from .signals import Signals
from .thread_stacks import is_waiting, stacks_of
from .watch import Watch
from .wsgi import serve_exchanges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Any
    from wsgiref.types import WSGIApplication

    from .listeners import Listener
    from .watch import OnTimedOut

EXIT_DONE = 0
EXIT_ABORTED = 1

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

# After an abort, threads that are between two calls end at once; those inside the application may not.
ABORTED_THREADS_TIMEOUT_S = 1.0


class Server:
    """One server inside a program: `with Server(application, bind="127.0.0.1:0") as server: server.url`.

    Settings are those of the command line, as keywords. No signal is handled; several may run in one process.
    Raises SettingError, and ListenError on start.
    """

    def __init__(self, application: WSGIApplication, /, **settings: object) -> None:
        self.settings = Settings.from_kwargs(**settings)
        self._application = application
        self._service: Service | None = None

    @property
    def url(self) -> str:
        """Address of the first listener, such as http://127.0.0.1:49152. Only while it runs."""
        return self.urls[0]

    @property
    def urls(self) -> list[str]:
        """Addresses of all listeners. Only while it runs."""
        if self._service is None:
            raise RuntimeError("the server is not running: call start(), or use it in a with statement")
        return [listener.url for listener in self._service.listeners if not listener.is_health]

    def start(self) -> None:
        """Open the listeners and begin to serve; returns at once."""
        if self._service is not None:
            raise RuntimeError("the server runs already")
        listeners = open_listeners(self.settings)
        try:
            service = Service(self.settings, listeners)
        except BaseException:
            for listener in listeners:
                listener.close()
            raise
        service.start(self._application)
        self._service = service

    def stop(self, graceful_timeout: float | None = None) -> bool:
        """Finish what was begun, for so many seconds at most, and abort the rest.

        False when something was aborted.
        """
        service, self._service = self._service, None
        if service is None:
            return True
        service.drain()
        timeout_s = self.settings.graceful_timeout if graceful_timeout is None else graceful_timeout
        is_finished = service.wait_until_finished(timeout_s)
        service.close()
        return is_finished

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()


class Seat:
    """Where a worker stands among others: its place in the scoreboard, its slot, its generation.

    scoreboard: the descriptor of the memory that all share; None when nobody looks on.
    """

    def __init__(
        self, scoreboard: int | None = None, place: int = 0, slot: int = 0, generation: int = 0
    ) -> None:
        self.scoreboard = scoreboard
        self.place = place
        self.slot = slot
        self.generation = generation

    def keywords(self) -> dict[str, Any]:
        """As the engine calls them."""
        return {
            "scoreboard_fd": self.scoreboard,
            "place": self.place,
            "slot": self.slot,
            "generation": self.generation,
        }


class Service:
    """An engine with its application threads. Closes the listeners it was given.

    seat: in a worker; None when nobody looks on. is_running: it was started.
    watch: looks after deadlines; None when no setting asks for one. It has a thread of its own, because a
    program that embeds us has no loop of ours to poll in, unless watches_itself is False: then the caller
    polls it. on_too_many_stuck: called by the watch, once, when max_stuck_threads never came back; without it
    the log says so. on_timed_out: called by the watch for each request, as Watch says.
    """

    def __init__(
        self,
        settings: Settings,
        listeners: Sequence[Listener],
        seat: Seat | None = None,
        *,
        watches_itself: bool = True,
        on_too_many_stuck: Callable[[], None] | None = None,
        on_timed_out: OnTimedOut | None = None,
    ) -> None:
        self.listeners = listeners
        self.is_running = False
        self._lints = settings.lint
        self._application: WSGIApplication | None = None
        self.engine = Engine(
            [listener.for_engine() for listener in listeners if not listener.is_health],
            settings.engine_options(),
            health_listeners=[listener.for_engine() for listener in listeners if listener.is_health],
            **(seat or Seat()).keywords(),
        )
        # Guards the two sets; told whenever a thread leaves the first.
        self._changed = threading.Condition()
        self._threads: set[threading.Thread] = set()
        # Stuck in a request that was timed out, and replaced. They end when they come back; nobody waits for
        # that.
        self._quarantined: set[threading.Thread] = set()
        self._wanted_threads = settings.threads
        self._started_threads = 0
        self.watch: Watch | None = None
        self._watching: threading.Thread | None = None
        if settings.timeout > 0 or any(timeout_s > 0 for _prefix, timeout_s in settings.timeout_for):
            self.watch = Watch(
                self.engine,
                timeout_grace_s=settings.timeout_grace,
                max_stuck_threads=settings.max_stuck_threads,
                replace_thread=self._replace_thread,
                on_too_many_stuck=on_too_many_stuck or self._tell_too_many_stuck,
                on_timed_out=on_timed_out,
            )
            if watches_itself:
                self._watching = threading.Thread(target=self.watch.run, name="barkeep-watch", daemon=True)

    def answer_probes(self) -> None:
        """Begin to answer on the health listeners, before there is an application: not ready."""
        if not self.is_running:
            self.is_running = True
            self.engine.start(wait_for_ready=True)

    def start(self, application: WSGIApplication) -> None:
        """Begin to serve. Raises SettingError, with all of it closed again, when threads cannot be had."""
        if self._lints:
            from .lint import Lint

            application = Lint(application)
        self._application = application
        self.answer_probes()
        try:
            for _ in range(self._wanted_threads):
                self._start_thread()
            if self._watching is not None:
                self._watching.start()
        except RuntimeError as error:
            wanted, started = self._wanted_threads, self._started_threads
            self.close()
            raise SettingError(
                f"--threads must be as many as the system allows, found {wanted}; {started} were started "
                f"({error}). Use fewer, or raise the limit on processes."
            ) from None
        self.engine.ready()

    def drain(self) -> None:
        """Take nothing new and finish what was begun. The engine empties the accept queue through its own
        descriptors; with ours closed, nobody can join the queue after that."""
        for listener in self.listeners:
            listener.close()
        self.engine.drain()

    def close(self) -> None:
        """End all threads; what is still open is aborted."""
        self.drain()
        self.engine.abort()
        self.engine.wait()
        if not self._join_threads(time.monotonic() + ABORTED_THREADS_TIMEOUT_S):
            stuck = len(self._threads)
            are = "thread is" if stuck == 1 else "threads are"
            self.engine.log("warning", f"{stuck} application {are} still inside the application")
        if self.watch is not None and self._watching is not None and self._watching.ident is not None:
            self.watch.stop()
            self._watching.join()
        # It knows us, and we know it: without this the engine's descriptors would stay open until the garbage
        # collector comes.
        self.watch = self._watching = None
        self.engine.close()

    def wait_until_finished(self, timeout_s: float | None) -> bool:
        """After a drain: wait until every connection is closed and every thread has left the application.

        It may still have to close an answer that is out. Threads that were given up are not waited for. False
        when the time has passed before.
        """
        give_up_at_s = None if timeout_s is None else time.monotonic() + timeout_s
        return self.engine.wait(timeout_s) and self._join_threads(give_up_at_s)

    @property
    def has_stuck_threads(self) -> bool:
        """Whether an application thread is still inside the application, also one that was given up."""
        return bool(self._threads or self._quarantined)

    def log_stacks(self, outcome: str) -> None:
        """One event in the log for each thread that is inside the application: where it stands."""
        with self._changed:
            # Threads that end meanwhile take themselves out.
            threads = {thread.ident or 0: thread.name for thread in self._threads}
        for ident, stack in stacks_of(threads).items():
            if not is_waiting(stack):
                text = "".join(stack.format()).rstrip()
                self.engine.log("warning", f"{threads[ident]} is inside the application, {outcome}\n{text}")

    def _join_threads(self, give_up_at_s: float | None) -> bool:
        with self._changed:
            threads = list(self._threads)
            timeout_s = None if give_up_at_s is None else max(0.0, give_up_at_s - time.monotonic())
            have_ended = self._changed.wait_for(lambda: not self._threads, timeout_s)
            threads = [thread for thread in threads if thread not in self._quarantined]
        if have_ended:
            for thread in threads:
                # Its last steps, which take no time.
                thread.join()
        return have_ended

    def _start_thread(self) -> None:
        """Raises RuntimeError when the system has no more threads."""
        thread = threading.Thread(
            target=self._serve,
            args=(self._application,),
            name=f"barkeep-{self._started_threads + 1}",
            # One that hangs in the application must not keep the process from ending.
            daemon=True,
        )
        with self._changed:
            thread.start()
            self._started_threads += 1
            self._threads.add(thread)

    def _serve(self, application: WSGIApplication) -> None:
        try:
            serve_exchanges(self.engine, application)
        finally:
            with self._changed:
                self._threads.discard(threading.current_thread())
                self._quarantined.discard(threading.current_thread())
                self._changed.notify_all()

    def _replace_thread(self, ident: int) -> int:
        """Stop waiting for a thread and start another; how many are stuck now."""
        with self._changed:
            given_up = {thread for thread in self._threads if thread.ident == ident}
            self._threads -= given_up
            self._quarantined |= given_up
            self._changed.notify_all()
            stuck = len(self._quarantined)
        self._start_thread()
        return stuck

    def _tell_too_many_stuck(self) -> None:
        self.engine.log(
            "error",
            "max_stuck_threads is reached: a thread that does not come back is not replaced any more. "
            "Restart the program, and give what hangs a timeout of its own",
        )


def serve(application: WSGIApplication, /, **settings: object) -> int:
    """Serve until SIGTERM or SIGINT; blocks. The settings are those of the command line, as keywords.

    Signals are handled when called in the main thread: Python allows it only there. The result is an exit
    code.
    """
    meant = Settings.from_kwargs(**settings)
    return run(meant, application, open_listeners(meant))


def run(settings: Settings, application: WSGIApplication, listeners: Sequence[Listener]) -> int:
    """Serve on these listeners until a signal; close them. 0: all was finished, 1: something was aborted."""
    sys.setswitchinterval(settings.switch_interval)
    service = Service(settings, listeners)
    with Signals(HANDLED) as signals:
        service.start(application)
        for listener in listeners:
            service.engine.log("info", f"listening on {listener.url}")
        threading.Thread(target=_tell_end, args=(service, signals), name="barkeep-end", daemon=True).start()
        stop_signal = _wait_for_stop(signals, service)
        service.drain()
        if stop_signal is None:
            service.engine.log("error", "the I/O thread has ended; this is a bug in barkeep")
            is_drained = False
        else:
            service.engine.log("info", f"{stop_signal.name}: finishing what was begun")
            is_drained = _wait_for_drain(signals, service, settings.graceful_timeout)
    service.close()
    exit_code = EXIT_DONE if is_drained else EXIT_ABORTED
    if service.has_stuck_threads:
        # Python would wait for them, or end them inside C code: leave without.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)
    return exit_code


def _tell_end(service: Service, signals: Signals) -> None:
    service.engine.wait()
    # Now already: an engine that has failed must be told at once.
    signals.wake()
    service.wait_until_finished(None)
    signals.wake()


def _wait_for_stop(signals: Signals, service: Service) -> signal.Signals | None:
    """The signal that stops the server; None when the engine has ended by itself."""
    while (received := signals.wait(None)) == signal.SIGUSR1:
        service.engine.reopen_logs()
    return received


def _wait_for_drain(signals: Signals, service: Service, timeout_s: float) -> bool:
    """True when all was finished; a second signal or the timeout ends the wait."""
    give_up_at_s = time.monotonic() + timeout_s
    while not service.wait_until_finished(0):
        received = signals.wait(max(0.0, give_up_at_s - time.monotonic()))
        if received == signal.SIGUSR1:
            service.engine.reopen_logs()
        elif received is not None:
            service.engine.log("warning", f"second {received.name}: aborting at once")
            return False
        elif time.monotonic() >= give_up_at_s:
            return service.wait_until_finished(0)
    return True
