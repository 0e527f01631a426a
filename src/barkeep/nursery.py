"""Where the workers of one generation come from: its launcher, and another one when its zygote has died.

Without --preload there is nothing to look after: the supervisor forks them itself.
"""

from __future__ import annotations

import sys

from .zygote import ZygoteLauncher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .channel import Message
    from .generation import Generation
    from .launcher import Launcher
    from .loop import Loop, Timer
    from .process_log import ProcessLog

# Whether a dead zygote's workers become children of the supervisor (rust/engine/src/orphans.rs).
INHERITS_WORKERS = sys.platform == "linux"

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 30.0


class Nursery:
    """Owns the launcher; tells the generation what became of workers that a zygote was asked for."""

    def __init__(
        self,
        generation: Generation,
        make_launcher: Callable[[], Launcher],
        loop: Loop,
        log: ProcessLog,
        reason_of: Callable[[int], str],
    ) -> None:
        self.launcher = make_launcher()
        self._generation = generation
        self._make_launcher = make_launcher
        self._loop = loop
        self._log = log
        self._reason_of = reason_of
        self._deaths = 0
        self._renewal: Timer | None = None
        self._is_closed = False

    def open(self) -> None:
        """Listen to the zygote, if there is one."""
        launcher = self.launcher
        if isinstance(launcher, ZygoteLauncher):
            launcher.on_failed = self._failed
            launcher.on_forked = self._forked
            launcher.on_not_forked = self._not_forked
            launcher.on_ended = self._worker_ended
            self._loop.watch(launcher.channel.fileno(), lambda: self._hear(launcher))

    def close(self) -> None:
        """Nobody will be launched any more; a zygote then ends."""
        self._is_closed = True
        if self._renewal is not None:
            self._renewal.cancel()
        self._leave()

    def process_has_ended(self, pid: int, reason: str) -> None:
        """A child of the supervisor has ended; it may have been the zygote."""
        launcher = self.launcher
        if not isinstance(launcher, ZygoteLauncher) or launcher.pid != pid:
            return
        # Nobody may be sent a signal by this number any more.
        launcher.pid = 0
        if not self._is_closed:
            # Why it ended may still be unread.
            launcher.hear()
        self._leave()
        generation = self._generation
        if generation.is_on_trial:
            why = f"the process that loads the application has ended: {reason}"
            generation.fail({"why": why, "code": 1})
        elif not generation.is_ending:
            self._renew_later(reason)
        for worker in list(generation.workers):
            if not worker.pid:
                generation.has_ended(worker, "its zygote has ended", is_clean=False)
            elif not INHERITS_WORKERS:
                generation.orphan(worker)

    def _hear(self, launcher: ZygoteLauncher) -> None:
        if not launcher.hear() and launcher is self.launcher:
            # Its end is told by the system; one that only closed its channel is of no use any more.
            self._loop.forget(launcher.channel.fileno())
            launcher.kill()

    def _renew_later(self, reason: str) -> None:
        self._deaths += 1
        delay_s = delay_after_s(self._deaths)
        later = f" in {delay_s:g} s" if delay_s else ""
        self._log.error(
            f"the zygote of generation {self._generation.number} has ended: {reason}; "
            f"another is started{later}"
        )
        self._renewal = self._loop.after(delay_s, self._renew)

    def _renew(self) -> None:
        try:
            self.launcher = self._make_launcher()
        except OSError as error:
            return self._renew_later(f"no process can be made: {error.strerror}")
        return self.open()

    def _leave(self) -> None:
        if isinstance(self.launcher, ZygoteLauncher):
            self._loop.forget(self.launcher.channel.fileno())
        self.launcher.close()

    def _failed(self, failure: Message) -> None:
        if self._generation.is_on_trial:
            self._generation.fail(failure)
        elif not self._generation.is_ending:
            self._log.error(f"the application could not be loaded again: {failure.get('why')}")

    def _forked(self, place: int, pid: int) -> None:
        for worker in self._generation.workers:
            if worker.place == place:
                worker.pid = pid

    def _not_forked(self, place: int, why: str) -> None:
        for worker in list(self._generation.workers):
            if worker.place == place:
                self._generation.has_ended(worker, why, is_clean=False)

    def _worker_ended(self, pid: int, status: int) -> None:
        for worker in list(self._generation.workers):
            if worker.pid == pid:
                self._generation.has_ended(worker, self._reason_of(status), is_clean=status == 0)


def delay_after_s(deaths: int) -> float:
    """How long to wait after so many quick deaths; the first is answered at once: most are alone."""
    return 0.0 if deaths <= 1 else min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(deaths - 2, 20))
