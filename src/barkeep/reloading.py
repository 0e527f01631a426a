"""A reload is a transaction: the new generation serves before the old one goes, or nothing changes at all."""

from __future__ import annotations

import time

from .errors import AppImportError, BarkeepError
from .listeners import open_listeners
from .setting import FROM_DEFAULT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .channel import Message
    from .generation import Generation
    from .listeners import Listener
    from .settings import Settings
    from .supervisor import Supervisor

# What a running supervisor has already made of them; a reload says so instead of half-obeying.
FIXED = ("name", "control_socket", "pid_file", "user", "group", "hooks", "reload", "reload_dir")


class Outcome:
    """How one reload ended.

    generation: its number, 0 when it did not come that far. traceback: of the application, or "".
    """

    def __init__(self, generation: int, reason: str = "", traceback: str = "") -> None:
        self.is_good = not reason
        self.generation = generation
        self.reason = reason
        self.traceback = traceback
        self.at_s = time.monotonic()


def _settle_s(settings: Settings) -> float:
    """How long a new generation must stay up; who edits and looks wants no wait they did not ask for."""
    if settings.reload and settings.origins["settle_time"] == FROM_DEFAULT:
        return 0.0
    return settings.settle_time


class Reloader:
    """Runs one reload at a time; whoever asks meanwhile is answered by one more after it."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self.last: Outcome | None = None
        self.is_under_way = False
        self._wanted_before = 0
        self._waiting: list[Callable[[Outcome], None]] = []
        self._asked_again: list[Callable[[Outcome], None]] = []
        self._is_asked_again = False

    def ask(self, done: Callable[[Outcome], None] | None = None) -> None:
        """Load the application and the settings anew; `done` is told how it ended."""
        if self.is_under_way:
            # What is being loaded may be older than what is asked for.
            self._is_asked_again = True
            self._asked_again += [done] if done else []
            return
        self._waiting = [done] if done else []
        self._begin()

    def _begin(self) -> None:
        supervisor = self._supervisor
        self.is_under_way = True
        supervisor.announcer.reloading()
        try:
            settings = supervisor.load_settings()
            before = supervisor.listeners
            listeners = open_listeners(settings, keep=before)
        except BarkeepError as error:
            traceback = error.traceback_text if isinstance(error, AppImportError) else ""
            return self._end(Outcome(0, str(error), traceback))
        self._keep_fixed(settings)
        generation = supervisor.make_generation(settings, listeners)
        added = [listener for listener in listeners if listener not in before]
        generation.on_ready = lambda new: self._switch(new, listeners)
        generation.on_failed = lambda new, failure: self._keep(new, failure, added)
        supervisor.log.info(f"generation {generation.number} is loading")
        workers = supervisor.workers_wanted(settings)
        current = supervisor.current
        if current is not None:
            self._wanted_before = current.wanted
            if settings.workers == supervisor.settings.workers:
                # What was scaled by hand stays so.
                workers = current.wanted
        generation.start(workers, settle_s=_settle_s(settings))
        return None

    def _keep_fixed(self, settings: Settings) -> None:
        before = self._supervisor.settings
        for name in FIXED:
            if settings.values[name] != before.values[name]:
                self._supervisor.log.warning(f"{name} is changed by a restart or an upgrade, not by a reload")
                # Nobody else has seen these settings yet.
                settings.values[name], settings.origins[name] = before.values[name], before.origins[name]

    def _switch(self, new: Generation, listeners: list[Listener]) -> None:
        supervisor = self._supervisor
        old, supervisor.current = supervisor.current, new
        removed = [listener for listener in supervisor.listeners if listener not in listeners]
        for listener in listeners:
            if listener not in supervisor.listeners:
                supervisor.log.info(f"listening on {listener.url}")
        supervisor.settings, supervisor.listeners = new.settings, listeners
        supervisor.log.level = new.settings.log_level
        supervisor.watchman.take_settings(new.settings)
        for listener in removed:
            listener.close()
        supervisor.log.info(f"generation {new.number} serves")
        if old is not None:
            if old.wanted != self._wanted_before:
                # Scaled while the new one was loading.
                new.scale(old.wanted)
            old.drain(f"generation {new.number} serves", old.settings.graceful_timeout)
        self._end(Outcome(new.number))

    def _keep(self, new: Generation, failure: Message, added: list[Listener]) -> None:
        for listener in added:
            listener.close()
        self._end(Outcome(new.number, str(failure.get("why")), str(failure.get("traceback", ""))))

    def _end(self, outcome: Outcome) -> None:
        supervisor = self._supervisor
        self.last = outcome
        self.is_under_way = False
        if not outcome.is_good:
            supervisor.log.error(
                f"reload failed, nothing has changed: {outcome.reason}\n{outcome.traceback}".rstrip()
            )
        serving = supervisor.current.number if supervisor.current is not None else 0
        supervisor.announcer.reloaded(outcome, serving)
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done(outcome)
        if self._is_asked_again and not supervisor.is_stopping:
            self._is_asked_again = False
            self._waiting, self._asked_again = self._asked_again, []
            self._begin()
