"""With --preload: a process that imports the application once per generation and forks the workers from it.

What the import made is shared by all workers until one of them writes to it. The garbage collector would
write to all of it, so it is frozen first (gc.freeze). Threads, sockets and held locks do not survive a fork;
who made them before it is told in the log.
"""

from __future__ import annotations

import os
import signal
import sys

from .channel import Channel
from .errors import BarkeepError
from .launcher import Launcher, WorkerProcess
from .loop import Loop
from .process_log import ProcessLog
from .process_title import set_title, zygote_title
from .signals import Signals
from .worker import describe_failure, enter, leave, load, run_worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from wsgiref.types import WSGIApplication

    from .channel import Message
    from .hooks import Hooks
    from .listeners import Listener
    from .settings import Settings

# The supervisor decides; these come from a terminal or from systemd to every process of the group.
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)

EXIT_DONE = 0
EXIT_APPLICATION = 3


class Zygote:
    """One zygote process, from its fork to its end, which is when the supervisor closes its channel."""

    def __init__(self, launcher: ZygoteLauncher, channel: Channel, signals: Signals) -> None:
        self._launcher = launcher
        self._channel = channel
        channel.accept_descriptors()
        self._signals = signals
        self._log = ProcessLog(launcher.settings.log_level)
        self._loop = Loop(self._log.fault)
        self._application: WSGIApplication | None = None
        self._is_over = False

    def run(self) -> int:
        """Import, tell, and fork when asked; the result is the exit code."""
        try:
            self._load()
        except BarkeepError as error:
            self._channel.send(describe_failure(error))
            return EXIT_APPLICATION
        self._channel.send({"is": "loaded"})
        self._loop.watch(self._channel.fileno(), self._hear)
        self._loop.watch(self._signals.fileno(), self._reap)
        while not self._is_over:
            self._loop.turn()
        return EXIT_DONE

    def _load(self) -> None:
        import gc

        from .fork_report import ForkReport

        launcher = self._launcher
        launcher.hooks.log = self._log.write
        set_title(zygote_title(launcher.generation))
        enter(launcher.settings, launcher.directory)
        with ForkReport() as report:
            self._application = load(launcher.settings, launcher.target)
        for line in report.findings():
            self._log.warning(f"preload: {line}")
        launcher.hooks.generation_loaded(generation=launcher.generation, pid=os.getpid())
        gc.collect()
        gc.freeze()

    def _hear(self) -> None:
        messages = self._channel.receive()
        if messages is None:
            self._is_over = True
            return
        for message in messages:
            if message.get("do") == "fork":
                self._fork(message)

    def _fork(self, message: Message) -> None:
        channel, stacks = self._channel.take_descriptors(2)
        place = message["place"]
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            pid = os.fork()
        except OSError as error:
            self._channel.send({"is": "not_forked", "place": place, "why": error.strerror})
        else:
            if pid == 0:
                self._be_worker(message, channel, stacks)
            self._channel.send({"is": "forked", "place": place, "pid": pid})
        finally:
            os.close(channel)
            os.close(stacks)

    def _be_worker(self, message: Message, channel: int, stacks: int) -> None:
        import socket

        launcher = self._launcher
        try:
            self._signals.__exit__(None, None, None)
            self._channel.close()
            end = Channel(socket.socket(fileno=channel))
            run_worker(launcher.job(message["slot"], message["place"], end, stacks), self._application)
        finally:
            leave(1)

    def _reap(self) -> None:
        self._signals.take()
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._channel.send({"is": "ended", "pid": pid, "status": status})


class ZygoteLauncher(Launcher):
    """Has a zygote fork the workers. Workers that are asked for before it has loaded wait in its channel.

    on_failed: it could not load; nothing will be launched. on_forked, on_not_forked, on_ended: what became of
    a worker, which is named by its place until it has a process id.
    """

    def __init__(
        self,
        settings: Settings,
        target: str,
        listeners: Sequence[Listener],
        generation: int,
        directory: str,
        scoreboard: int,
        hooks: Hooks,
        in_child: Callable[[], None],
    ) -> None:
        super().__init__(settings, target, listeners, generation, directory, scoreboard, hooks, in_child)
        self.on_failed: Callable[[Message], None] = _ignore
        self.on_forked: Callable[[int, int], None] = _ignore
        self.on_not_forked: Callable[[int, str], None] = _ignore
        self.on_ended: Callable[[int, int], None] = _ignore
        self.channel, theirs = Channel.pair()
        self.failure: Message | None = None
        self.pid = self._start(theirs)
        theirs.close()

    def hear(self) -> bool:
        """Take what it has said; False when it has gone."""
        messages = self.channel.receive()
        for message in messages or []:
            match message.get("is"):
                case "failed":
                    self.on_failed(message)
                case "forked":
                    self.on_forked(message["place"], message["pid"])
                case "not_forked":
                    self.on_not_forked(message["place"], f"the zygote cannot fork: {message['why']}")
                case "ended":
                    self.on_ended(message["pid"], message["status"])
        return messages is not None

    def processes(self) -> list[int]:
        """The zygote."""
        return [self.pid] if self.pid else []

    def close(self) -> None:
        """The zygote ends; its workers go on, as children of the supervisor."""
        self.channel.close()

    def kill(self) -> None:
        """End it now, in the middle of an import if need be."""
        # 0: its end is known, and the number may be another process's by now.
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)

    def _make_process(self, worker: WorkerProcess, theirs: Channel, stacks: int) -> int:
        wish: Message = {"do": "fork", "slot": worker.slot, "place": worker.place}
        if not self.pid or not self.channel.send(wish, [theirs.fileno(), stacks]):
            raise OSError(0, "the zygote has gone")
        return 0

    def _start(self, theirs: Channel) -> int:
        pid = os.fork()
        if pid:
            return pid
        code = EXIT_APPLICATION
        try:
            self._in_child()
            self.channel.close()
            for number in IGNORED:
                signal.signal(number, signal.SIG_IGN)
            with Signals((signal.SIGCHLD,)) as signals:
                code = Zygote(self, theirs, signals).run()
        except BaseException as error:
            ProcessLog(self.settings.log_level).fault(error)
        finally:
            leave(code)


def _ignore(*_: object) -> None:
    pass
