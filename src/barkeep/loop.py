"""The supervisor's loop: wait for descriptors, signals and moments, and call who asked. One thread, no magic.

A callback that raises is told to `on_fault` and the loop goes on: the supervisor outlives its own mistakes.
"""

from __future__ import annotations

import functools
import heapq
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    class Source(Protocol):
        """Something with descriptors of its own."""

        def interests(self) -> Mapping[int, int]:
            """What to poll: descriptor -> events of select.poll."""

        def on_ready(self, descriptor: int, events: int) -> None:
            """Do what can be done without waiting."""


class Timer:
    """A call that is due at a moment, unless cancelled before."""

    __slots__ = ("at_s", "call", "order")

    def __init__(self, at_s: float, order: int, call: Callable[[], None] | None) -> None:
        self.at_s = at_s
        self.order = order
        self.call = call

    @classmethod
    def never(cls) -> Timer:
        """One that is cancelled already, for a place where there is none yet."""
        return cls(0.0, 0, None)

    def cancel(self) -> None:
        """Never call it."""
        self.call = None

    def __lt__(self, other: Timer) -> bool:
        return (self.at_s, self.order) < (other.at_s, other.order)


class Loop:
    """Waits and calls. `on_fault` is given what a callback raised.

    source: an object with many descriptors, whose wishes change: `interests()` gives descriptor -> events,
    and `on_ready(descriptor, events)` is called. clock: seconds that never go back.
    """

    def __init__(
        self,
        on_fault: Callable[[Exception], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source: Source | None = None
        self._on_fault = on_fault
        self._clock = clock
        self._watched: dict[int, Callable[[], None]] = {}
        self._timers: list[Timer] = []
        self._timers_made = 0

    def now_s(self) -> float:
        """The loop's clock."""
        return self._clock()

    def watch(self, descriptor: int, call: Callable[[], None]) -> None:
        """Call whenever the descriptor has something to read."""
        self._watched[descriptor] = call

    def forget(self, descriptor: int) -> None:
        """No longer watch it; the caller closes it. Unknown ones are no fault."""
        self._watched.pop(descriptor, None)

    def after(self, delay_s: float, call: Callable[[], None]) -> Timer:
        """Call once, so many seconds from now."""
        self._timers_made += 1
        timer = Timer(self._clock() + delay_s, self._timers_made, call)
        heapq.heappush(self._timers, timer)
        return timer

    def every(self, interval_s: float, call: Callable[[], None]) -> None:
        """Call again and again, the first time after one interval."""

        def again() -> None:
            self.after(interval_s, again)
            call()

        self.after(interval_s, again)

    def turn(self) -> None:
        """Wait for the next thing and do what it asks for."""
        source = self.source
        interests = {} if source is None else source.interests()
        # A new one each time: descriptors come and go, there are few, and a turn is rare.
        poll = select.poll()
        for descriptor in self._watched:
            poll.register(descriptor, select.POLLIN)
        for descriptor, events in interests.items():
            poll.register(descriptor, events)
        for descriptor, events in poll.poll(self._patience_ms()):
            # One that was called before may have closed it.
            call = self._watched.get(descriptor)
            if call is not None:
                self._guarded(call)
            elif source is not None and descriptor in interests:
                self._guarded(functools.partial(source.on_ready, descriptor, events))
        now_s = self._clock()
        while self._timers and self._timers[0].at_s <= now_s:
            timer = heapq.heappop(self._timers)
            if timer.call is not None:
                self._guarded(timer.call)

    def _patience_ms(self) -> float | None:
        while self._timers and self._timers[0].call is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        # Rounded up: a turn that comes a little early would only wait again.
        return max(0.0, (self._timers[0].at_s - self._clock()) * 1000 + 1)

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # whatever it is, the workers must still be looked after
            self._on_fault(error)
