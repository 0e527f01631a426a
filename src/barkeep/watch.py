"""Step 5 of 6 - look after requests that take too long: the log, an exception in the thread, another thread.

The client has its 504 from the I/O thread before anything here runs. What is left is the thread: it is told
to stop (RequestTimeout), and when it does not come back another takes its place.
"""

from __future__ import annotations

import time

from .errors import RequestTimeout
from .thread_stacks import stacks_of, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._engine import Engine

    OnTimedOut = Callable[[str, float, int, str], None]


class Watch:
    """What follows a passed deadline, step by step. All methods but `stop` are for one thread.

    timeout_grace_s: a thread may take to come back. replace_thread: gives up the thread of that ident, starts
    another in its place and returns how many that were given up are still stuck. on_too_many_stuck: called
    once, when they are max_stuck_threads; from then on no thread is replaced. on_timed_out: called for each
    request whose thread is told to stop, with the request, its age in seconds, the ident of its thread and
    the stack of that.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        timeout_grace_s: float,
        max_stuck_threads: int,
        replace_thread: Callable[[int], int],
        on_too_many_stuck: Callable[[], None],
        on_timed_out: OnTimedOut | None = None,
    ) -> None:
        self._engine = engine
        self._timeout_grace_s = timeout_grace_s
        self._max_stuck_threads = max_stuck_threads
        self._replace_thread = replace_thread
        self._on_too_many_stuck = on_too_many_stuck
        self._on_timed_out = on_timed_out
        # (thread ident, serial) of those that were told to stop: when they must be back, on time.monotonic(),
        # and the request.
        self._told: dict[tuple[int, int], tuple[float, str]] = {}
        # Events that were taken: none is lost should telling of the one before it fail.
        self._untold: list[tuple[str, int, int, str, int, int]] = []
        self._has_too_many = False
        self._is_stopped = False
        self._fileno = engine.events_fileno()

    def fileno(self) -> int:
        """A descriptor for poll(): `look` when it is readable. The engine closes it."""
        return self._fileno

    def next_look_s(self) -> float | None:
        """Seconds until `look` has to be called without an event; None: there is no need."""
        if not self._told:
            return None
        return max(0.0, min(back_at_s for back_at_s, _request in self._told.values()) - time.monotonic())

    def look(self) -> None:
        """Do what is due: never waits. Calling it also tells the engine that Python runs."""
        self._untold += self._engine.take_events()
        while self._untold:
            _kind, ident, serial, request, age_ms, _number = self._untold.pop(0)
            self._tell(ident, serial, request, age_ms)
        now_s = time.monotonic()
        for key, (back_at_s, request) in list(self._told.items()):
            if not self._engine.is_running(*key):
                del self._told[key]
            elif back_at_s <= now_s:
                del self._told[key]
                self._give_up(*key, request)

    def run(self) -> None:
        """Look whenever it is time, until `stop`. For a thread of its own."""
        import select

        events = select.poll()
        events.register(self, select.POLLIN)
        while not self._is_stopped:
            wait_s = self.next_look_s()
            # Rounded up: woken a moment too early it would look in vain, again and again.
            events.poll(None if wait_s is None else int(wait_s * 1000) + 1)
            try:
                self.look()
            except Exception as error:  # nobody else would look after the next request
                self._engine.log("error", f"the watch over deadlines failed: {error!r}")

    def stop(self) -> None:
        """End `run`. From any thread."""
        self._is_stopped = True
        self._engine.wake_watch()

    def _tell(self, ident: int, serial: int, request: str, age_ms: int) -> None:
        """Log where the thread is, and raise RequestTimeout in it, unless it is back already."""
        stack = _stack_of(ident)
        if not self._engine.is_running(ident, serial):
            # The stack may be that of the next request.
            self._engine.log("info", f"{request} timed out; its thread was back before it could be stopped")
            return
        self._engine.log(
            "error", f"{request} timed out after {age_ms} ms; thread {_name_of(ident)} is here:\n{stack}"
        )
        if self._engine.raise_in_thread(ident, serial, RequestTimeout):
            self._told[ident, serial] = (time.monotonic() + self._timeout_grace_s, request)
        if self._on_timed_out is not None:
            self._on_timed_out(request, age_ms / 1000, ident, stack)

    def _give_up(self, ident: int, serial: int, request: str) -> None:
        if self._has_too_many or not self._engine.quarantine(ident, serial):
            return
        name = _name_of(ident)
        try:
            stuck = self._replace_thread(ident)
        except RuntimeError as error:
            self._engine.log("error", f"thread {name} is stuck and cannot be replaced: {error}")
            return
        self._engine.log(
            "error",
            f"thread {name} did not come back {self._timeout_grace_s:g} s after {request} had timed out; "
            f"another has taken its place. Stuck: {stuck} of at most {self._max_stuck_threads}. It is here:\n"
            f"{_stack_of(ident)}",
        )
        if stuck >= self._max_stuck_threads:
            self._has_too_many = True
            self._on_too_many_stuck()


def _stack_of(ident: int) -> str:
    return text_of(stacks_of((ident,)).get(ident))


def _name_of(ident: int) -> str:
    import threading

    for thread in threading.enumerate():
        if thread.ident == ident:
            return thread.name
    return str(ident)
