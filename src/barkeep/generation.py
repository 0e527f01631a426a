"""One loaded version of the application, with its workers in stable slots 0 to n-1.

A generation is on trial until every worker has loaded and stayed up for a moment; only then does it serve.
After that a worker that dies is replaced at once, with a growing delay when they keep dying.
"""

from __future__ import annotations

import time

from .launcher import DRAINING, GONE, LOADED, LOADING, SERVING, reason_of
from .nursery import Nursery, delay_after_s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .channel import Message
    from .launcher import Launcher, WorkerProcess
    from .loop import Loop, Timer
    from .places import Places
    from .process_log import ProcessLog

# A worker that lives this long has not died of its start.
SETTLED_AFTER_S = 10.0
# When there can be no more processes or descriptors.
LAUNCH_AGAIN_S = 1.0

# After its time to drain a worker has this much longer to end by itself.
KILL_MARGIN_S = 2.0


class Generation:
    """Its workers, and what becomes of them.

    make_launcher: called once, and again when a zygote has died.
    on_ready: every worker serves. on_failed: it never will; the message says why.
    on_gone: the last of its workers has ended. reason_of: a wait status in words.
    """

    def __init__(
        self,
        make_launcher: Callable[[], Launcher],
        loop: Loop,
        log: ProcessLog,
        places: Places,
        reason_of: Callable[[int], str] = reason_of,
    ) -> None:
        self._nursery = Nursery(self, make_launcher, loop, log, reason_of)
        self.number = self._nursery.launcher.generation
        self.settings = self._nursery.launcher.settings
        self.began_s = time.monotonic()
        self.is_serving = False
        self._is_gone = False
        self.is_ending = False
        self._is_lame_duck = False
        # Workers that did not finish what they had begun.
        self.aborted = 0
        self.on_ready: Callable[[Generation], None] = _ignore
        self.on_failed: Callable[[Generation, Message], None] = _ignore
        self.on_gone: Callable[[Generation], None] = _ignore
        # Every living worker; a slot has two while one is replaced.
        self.workers: list[WorkerProcess] = []
        self.wanted = 0
        self._settle_s = 0.0
        self._loop = loop
        self._log = log
        self._places = places
        self._quick_deaths: dict[int, int] = {}
        self._trial: Timer | None = None
        # By slot: one is enough.
        self._restarts: dict[int, Timer] = {}

    def start(self, workers: int, settle_s: float) -> None:
        """Launch so many workers; one of on_ready and on_failed will be called.

        settle_s: how long they must stay up once all have loaded.
        """
        self.wanted = workers
        self._settle_s = settle_s
        self._trial = self._loop.after(self.settings.ready_timeout, self._too_slow)
        self._nursery.open()
        for slot in range(workers):
            self._launch(slot)

    @property
    def is_on_trial(self) -> bool:
        """Whether it has been started and neither serves nor has failed."""
        return self._trial is not None

    def abandon(self) -> None:
        """After a fork, in the child: close what is the supervisor's."""
        self._nursery.launcher.close()
        for worker in self.workers:
            worker.close()

    def makers(self) -> list[int]:
        """Process ids of those that are needed to make workers, and are none."""
        return self._nursery.launcher.processes()

    def serving(self) -> list[WorkerProcess]:
        """The workers that take requests."""
        return [worker for worker in self.workers if worker.state == SERVING]

    def in_slot(self, slot: int) -> WorkerProcess | None:
        """The worker that has the slot now, not one that is being replaced or that replaces it."""
        of_slot = [w for w in self.workers if w.slot == slot and w.state in (LOADING, LOADED, SERVING)]
        return next((worker for worker in of_slot if worker.replaces is None), None)

    # -- from outside -------------------------------------------------------------------------------

    def scale(self, workers: int) -> None:
        """Have so many workers from now on; those of the highest slots finish and go."""
        before, self.wanted = self.wanted, workers
        for slot in range(before, workers):
            self._launch(slot)
        for worker in self.workers:
            if worker.slot >= workers:
                self._drain(worker, "there are fewer workers now")

    def replace(
        self, worker: WorkerProcess, why: str, done: Callable[[int, str], None] | None = None
    ) -> None:
        """Start another worker in its slot and, once that serves, let this one finish and go.

        done: called with the new process id and why there is none, or "".
        """
        done = done or _ignore
        if worker.replacement is not None or worker.state != SERVING or self.is_ending:
            return done(0, "the worker is on its way out already.")
        self._log.info(f"{worker} is replaced: {why}")
        replacement = self._launch(worker.slot)
        if replacement is None:
            return done(0, "no other worker can be started now; the server's log says why.")
        worker.leaving_because = why
        worker.replacement, replacement.replaces = replacement, worker
        replacement.when_settled = done
        return None

    def be_lame_duck(self) -> None:
        """Go on as before, but say that nothing new is wanted; also workers that are started from now on."""
        self._is_lame_duck = True
        self.tell_all("lame_duck")

    def drain(self, why: str, timeout_s: float) -> None:
        """Let every worker finish what it has begun, and end."""
        self.is_ending = True
        self._cancel_timers()
        self._forget_unborn()
        for worker in list(self.workers):
            self._drain(worker, why, timeout_s)
        self._tell_if_gone()

    def abort(self) -> None:
        """End every worker now; what it has is cut and logged."""
        self.is_ending = True
        self._cancel_timers()
        self._forget_unborn()
        for worker in self.workers:
            worker.tell("abort")
            self._loop.after(KILL_MARGIN_S, worker.kill)
        self._tell_if_gone()

    def tell_all(self, what: str, **more: object) -> None:
        """Send a command to every worker."""
        for worker in self.workers:
            worker.tell(what, **more)

    # -- what workers say ---------------------------------------------------------------------------

    def _hear(self, worker: WorkerProcess) -> None:
        messages = worker.channel.receive()
        if messages is None:
            # Its end is told by the system, or by its zygote; one that only closed its channel is of no use
            # any more.
            self._loop.forget(worker.channel.fileno())
            worker.kill()
            worker.has_hung_up = True
            self._end_if_nobody_tells(worker)
            return
        for message in messages:
            self._note(worker, message)

    def _note(self, worker: WorkerProcess, message: Message) -> None:
        match message.get("is"):
            case "loaded" if worker.state == LOADING:
                worker.state = LOADED
                worker.pid = worker.pid or int(message["pid"])
                self._has_loaded(worker)
            case "serving" if worker.state == LOADED:
                worker.state = SERVING
                self._now_serves(worker)
            case "failed":
                worker.failure = message
                if self.is_serving:
                    self._log.error(f"{worker} could not be started: {message.get('why')}")
            case "asked_to_stop":
                self.replace(worker, "it was asked to stop by a signal")
            case "stuck":
                self.replace(worker, str(message.get("why")))

    def _has_loaded(self, worker: WorkerProcess) -> None:
        if self.is_serving:
            self._tell_to_serve(worker)
        elif len(self.workers) == self.wanted and all(w.state == LOADED for w in self.workers):
            # Not before now: a crash in its first moments must not cost a request.
            self._trial_ends(self._settle_s, self._begin_to_serve)

    def _begin_to_serve(self) -> None:
        self.is_serving = True
        self._trial_ends(self.settings.ready_timeout, self._too_slow)
        for worker in self.workers:
            self._tell_to_serve(worker)

    def _tell_to_serve(self, worker: WorkerProcess) -> None:
        worker.tell("serve")
        if self._is_lame_duck:
            worker.tell("lame_duck")

    def _now_serves(self, worker: WorkerProcess) -> None:
        replaced, worker.replaces = worker.replaces, None
        worker.tell_settled("")
        if replaced is not None:
            self._drain(replaced, replaced.leaving_because)
        if self._trial is not None and all(w.state == SERVING for w in self.workers):
            self._end_trial()
            self.on_ready(self)

    # -- the end of workers -------------------------------------------------------------------------

    def process_has_ended(self, pid: int, reason: str, is_clean: bool) -> None:
        """A child of the supervisor has ended; most are none of this generation's."""
        for worker in list(self.workers):
            if worker.pid == pid:
                self.has_ended(worker, reason, is_clean)
        self._nursery.process_has_ended(pid, reason)

    def orphan(self, worker: WorkerProcess) -> None:
        """From now on the end of its channel is all that will be heard of a worker's end."""
        worker.is_orphan = True
        self._end_if_nobody_tells(worker)

    def _end_if_nobody_tells(self, worker: WorkerProcess) -> None:
        if worker.is_orphan and worker.has_hung_up:
            is_clean = worker.state == DRAINING
            self.has_ended(worker, "it has gone, after its zygote", is_clean)

    def has_ended(self, worker: WorkerProcess, reason: str, is_clean: bool) -> None:
        """A worker's process has ended. reason: for people; is_clean: it finished all it had begun."""
        before, worker.state = worker.state, GONE
        self.workers.remove(worker)
        if before != GONE:
            self._loop.forget(worker.channel.fileno())
        self._hear_last_words(worker)
        worker.close()
        if worker.replaces is not None:
            worker.replaces.replacement = None
            worker.tell_settled(f"the new worker has ended: {reason}.")
        lost = self._places.tell_requests(worker)
        self._places.give(worker.place)
        why = f"{worker} has ended: {reason}" + (f"; it had {lost}" if lost else "")
        if self._trial is not None and not self.is_ending:
            return self.fail(worker.failure or {"why": why, "code": 1})
        self._tell_end(worker, before, why, is_clean)
        if not self.is_ending and worker.slot < self.wanted:
            self._fill(worker, before)
        self._tell_if_gone()
        return None

    def _tell_end(self, worker: WorkerProcess, before: str, why: str, is_clean: bool) -> None:
        has_served = before in (SERVING, DRAINING)
        is_asked = before == DRAINING or self.is_ending or bool(worker.leaving_because)
        if has_served and not (is_asked and is_clean):
            self.aborted += 1
        if worker.failure is None and not (is_asked and (is_clean or not has_served)):
            self._log.error(why)

    def _hear_last_words(self, worker: WorkerProcess) -> None:
        for message in worker.channel.receive() or []:
            if message.get("is") == "failed":
                self._note(worker, message)

    def _fill(self, dead: WorkerProcess, state_before: str) -> None:
        """Put a worker where one has died, unless there is one."""
        if any(worker.slot == dead.slot and worker.state != DRAINING for worker in self.workers):
            return
        lived_s = time.monotonic() - dead.began_s
        is_quick = state_before in (LOADING, LOADED) or lived_s < SETTLED_AFTER_S
        deaths = self._quick_deaths.get(dead.slot, 0) + 1 if is_quick else 0
        self._quick_deaths[dead.slot] = deaths
        delay_s = delay_after_s(deaths)
        if delay_s:
            self._log.warning(f"worker {dead.slot} keeps dying: the next is started in {delay_s:g} s")
        self._refill_after(delay_s, dead.slot)

    def _refill_after(self, delay_s: float, slot: int) -> None:
        self._restarts[slot] = self._loop.after(delay_s, lambda: self._refill(slot))

    def _refill(self, slot: int) -> None:
        if not self.is_ending and slot < self.wanted and self.in_slot(slot) is None:
            self._launch(slot)

    # -- parts --------------------------------------------------------------------------------------

    def _launch(self, slot: int) -> WorkerProcess | None:
        place = None
        try:
            place = self._places.take()
            worker = self._nursery.launcher.launch(slot, place)
        except OSError as error:
            if place is not None:
                self._places.give(place)
            self._log.error(f"worker {slot} cannot be started: {error.strerror}; tried again in a second")
            self._refill_after(LAUNCH_AGAIN_S, slot)
            return None
        self.workers.append(worker)
        self._loop.watch(worker.channel.fileno(), lambda: self._hear(worker))
        if self.is_serving:
            self._loop.after(self.settings.ready_timeout, lambda: self._kill_if_not_ready(worker))
        return worker

    def _kill_if_not_ready(self, worker: WorkerProcess) -> None:
        if worker.state in (LOADING, LOADED):
            self._log.error(f"{worker} was not ready within --ready-timeout: killed")
            worker.kill()

    def _drain(self, worker: WorkerProcess, why: str, timeout_s: float | None = None) -> None:
        if worker.state in (DRAINING, GONE):
            return
        worker.leaving_because = why
        if worker.state == LOADING and worker.pid:
            # It has nothing to finish, and hears nothing while it imports.
            worker.kill()
            return
        worker.state = DRAINING
        timeout_s = self.settings.graceful_timeout if timeout_s is None else timeout_s
        worker.tell("drain", timeout_s=timeout_s)
        self._loop.after(timeout_s + KILL_MARGIN_S, worker.kill)

    def _too_slow(self) -> None:
        why = f"not ready within {self.settings.ready_timeout:g} s (--ready-timeout)"
        self.fail({"why": why, "code": 1})

    def fail(self, failure: Message) -> None:
        """It will never serve: end what there is of it, and say so."""
        self._end_trial()
        self.is_ending = True
        self._forget_unborn()
        for worker in self.workers:
            worker.leaving_because = "its generation has failed"
            worker.kill()
        self.on_failed(self, failure)
        self._tell_if_gone()

    def _trial_ends(self, delay_s: float, call: Callable[[], None]) -> None:
        self._end_trial()
        self._trial = self._loop.after(delay_s, call)

    def _end_trial(self) -> None:
        if self._trial is not None:
            self._trial.cancel()
            self._trial = None

    def _cancel_timers(self) -> None:
        self._end_trial()
        for timer in self._restarts.values():
            timer.cancel()

    def _tell_if_gone(self) -> None:
        if self.is_ending and not self.workers and not self._is_gone:
            self._is_gone = True
            self._nursery.close()
            self.on_gone(self)

    def _forget_unborn(self) -> None:
        """Workers that a zygote was asked for and has not told of: they will never be."""
        unborn = [worker for worker in self.workers if not worker.pid]
        if unborn:
            self._nursery.launcher.kill()
        for worker in unborn:
            self.has_ended(worker, "it was not needed any more", is_clean=True)


def _ignore(*_: object) -> None:
    pass
