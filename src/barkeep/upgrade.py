"""A new supervisor takes the place of the old one: another Barkeep or Python, the same listeners.

The old one starts the new one as its child, with its listeners and its control socket. Only when the new
one serves does the old one let go, finish what it has begun and end. Should it fail, nothing has changed.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

from .channel import Channel
from .listeners import Listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

    from .supervisor import Supervisor

# Not BARKEEP_: that would be a setting. JSON: {"channel": fd, "control": [...] or null, "listeners": [[...]]}
VARIABLE = "_BARKEEP_UPGRADE"

# The new one has its --ready-timeout for its workers; this is for its own start, and margin.
START_MARGIN_S = 10.0


class Inheritance:
    """What a supervisor that takes over was given; `tell_ready` is called once its first workers serve."""

    def __init__(self, channel: Channel, listeners: list[Listener], control: Listener | None) -> None:
        self.listeners = listeners
        self.control = control
        self._channel = channel

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> Inheritance | None:
        """From the environment, which forgets it; None for a start that is no upgrade."""
        text = environ.pop(VARIABLE, None)
        if text is None:
            return None
        import json

        told = json.loads(text)
        control = told["control"]
        return cls(
            Channel(socket.socket(fileno=told["channel"])),
            [Listener.inherit(*listener) for listener in told["listeners"]],
            None if control is None else Listener.inherit(*control),
        )

    def tell_ready(self) -> None:
        """Let the old supervisor go; on return it has let go of what only one can hold."""
        self._channel.send({"is": "ready"})
        self._channel.wait_for_message()
        self._channel.close()
        for listener in [*self.listeners, *([self.control] if self.control else [])]:
            listener.own()


class Upgrader:
    """The old supervisor's side: at most one upgrade at a time."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._channel: Channel | None = None
        self._done: Callable[[int, str], None] = _ignore
        # The process that takes, or has taken, our place; 0 for none.
        self.pid = 0

    def ask(self, done: Callable[[int, str], None] | None = None) -> None:
        """Start another supervisor. done: called with its process id and why it failed, or ""."""
        done = done or _ignore
        if self._channel is not None or self.pid:
            done(0, "an upgrade is under way.")
            return
        ours, theirs = Channel.pair()
        try:
            self.pid = self._start(theirs)
        except OSError as error:
            ours.close()
            done(0, f"a new supervisor cannot be started: {error.strerror}.")
            return
        finally:
            theirs.close()
        self._done = done
        self._channel = ours
        loop, settings = self._supervisor.loop, self._supervisor.settings
        loop.watch(ours.fileno(), self._hear)
        self._patience = loop.after(settings.ready_timeout + START_MARGIN_S, self._too_slow)
        self._supervisor.log.info(f"upgrade: a new supervisor starts as process {self.pid}")

    def abandon(self) -> None:
        """After a fork, in the child: this is the parent's business."""
        if self._channel is not None:
            self._channel.close()

    def _start(self, theirs: Channel) -> int:
        import json

        supervisor = self._supervisor
        control = supervisor.control
        kept = [*supervisor.listeners, *([control.listener] if control is not None else [])]
        told = {
            "channel": theirs.fileno(),
            "control": None if control is None else control.listener.bequeath(),
            "listeners": [listener.bequeath() for listener in supervisor.listeners],
        }
        environ = {**supervisor.environ, **supervisor.announcer.environment(), VARIABLE: json.dumps(told)}
        words = [sys.executable, *sys.orig_argv[1:]]
        pid = os.fork()
        if pid:
            return pid
        try:
            # A signal for the new one is not ours.
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            os.chdir(supervisor.directory)
            for descriptor in [theirs.fileno(), *(listener.socket.fileno() for listener in kept)]:
                os.set_inheritable(descriptor, True)
            os.execvpe(words[0], words, environ)  # noqa: S606 - our own program, no shell
        except OSError as error:
            supervisor.log.error(f"upgrade: {words[0]} cannot be started: {error.strerror}")  # noqa: TRY400
        finally:
            os._exit(1)

    def _hear(self) -> None:
        channel = self._channel
        messages = channel.receive() if channel is not None else []
        if messages is None:
            self._fail("the new supervisor ended before it was ready.")
        elif channel is not None and any(message.get("is") == "ready" for message in messages):
            self._supervisor.announcer.handed_over(self.pid)
            channel.send({"do": "take over"})
            self._forget()
            # Before the control socket is let go: who asked waits for it there.
            self._done(self.pid, "")
            self._supervisor.hand_over(self.pid)

    def stop(self) -> None:
        """We are to stop: so is the one that was to take our place."""
        if self._channel is not None:
            try:
                # It ends its workers, too, which have nothing to finish.
                os.kill(self.pid, signal.SIGTERM)
            except ProcessLookupError:
                # Its end has been seen, and not been heard of yet.
                pass

    def _too_slow(self) -> None:
        self.stop()
        self._fail("the new supervisor was not ready in time.")

    def _fail(self, why: str) -> None:
        self._forget()
        self.pid = 0
        self._supervisor.log.error(f"upgrade failed, nothing has changed: {why}")
        self._done(0, why)

    def _forget(self) -> None:
        if self._channel is not None:
            self._supervisor.loop.forget(self._channel.fileno())
            self._channel.close()
            self._channel = None
        self._patience.cancel()


def close_unused(inherited: Sequence[Listener], used: Sequence[Listener]) -> None:
    """Close what was inherited and is not wanted any more."""
    for listener in inherited:
        if listener not in used:
            listener.close()


def _ignore(*_: object) -> None:
    pass
