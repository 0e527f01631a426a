"""How worker processes are made: forked from the supervisor, or from a zygote that has the application.

Nothing here decides when; generation.py does.
"""

from __future__ import annotations

import os
import signal
import time

from .channel import Channel
from .worker import STACKS_SIGNAL, Job, leave, run_worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .channel import Message
    from .hooks import Hooks
    from .listeners import Listener
    from .settings import Settings

# What a worker is doing, as far as it has told.
LOADING = "loading"
LOADED = "loaded"
SERVING = "serving"
DRAINING = "draining"
GONE = "gone"


# A worker is a child of the supervisor, or of a zygote, which is one.
GENERATIONS_BELOW = 2


class WorkerProcess:
    """The supervisor's side of one worker process.

    pid: 0 until a zygote has told it. place: where it writes in the scoreboard.
    """

    def __init__(self, slot: int, place: int, generation: int, channel: Channel, stacks: int) -> None:
        self.slot = slot
        self.place = place
        self.generation = generation
        self.channel = channel
        # Where its stacks can be read from.
        self.stacks = stacks
        self.pid = 0
        self.state = LOADING
        self.began_s = time.monotonic()
        # The other side has closed the channel.
        self.has_hung_up = False
        # Its zygote has died, and no other process tells of its end.
        self.is_orphan = False
        self.failure: Message | None = None
        # Why it is being replaced; "" while it is not.
        self.leaving_because = ""
        self.replaces: WorkerProcess | None = None
        self.replacement: WorkerProcess | None = None
        # Called once, when it serves in the place of another, or never will: with its pid and why not.
        self.when_settled: Callable[[int, str], None] | None = None

    def __repr__(self) -> str:
        return f"worker {self.slot} (pid {self.pid}, generation {self.generation})"

    def tell(self, what: str, **more: object) -> None:
        """Send it a command; one that has gone hears nothing."""
        self.channel.send({"do": what, **more})

    def tell_settled(self, why_not: str) -> None:
        """Call `when_settled`, if somebody waits."""
        call, self.when_settled = self.when_settled, None
        if call is not None:
            call(0 if why_not else self.pid, why_not)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it still lives. A zygote's word for a process id is not taken: it runs the
        application, perhaps as another user, and the supervisor may be root."""
        if self.pid and self.state != GONE and is_descendant(self.pid):
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def kill(self) -> None:
        """End it now, if it still lives."""
        self.signal(signal.SIGKILL)

    def ask_for_stacks(self) -> None:
        """Have Python's fault handler write all stacks to `stacks`; also while the GIL is held."""
        self.signal(STACKS_SIGNAL)

    def close(self) -> None:
        """Close what belongs to it here."""
        self.channel.close()
        os.close(self.stacks)


class Launcher:
    """Forks workers from the calling process, which has one thread.

    directory: where the application is loaded. scoreboard: its descriptor, the supervisor's.
    in_child: called in each child first; closes what only the parent may hold, forgets its signal handlers.
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
        self.settings = settings
        self.target = target
        self.listeners = listeners
        self.generation = generation
        self.directory = directory
        self.scoreboard = scoreboard
        self.hooks = hooks
        self._in_child = in_child

    def launch(self, slot: int, place: int) -> WorkerProcess:
        """Start one worker. Raises OSError when there can be no more processes or descriptors."""
        ours, theirs = Channel.pair()
        reader, writer = os.pipe()
        for end in (reader, writer):
            os.set_blocking(end, False)
        worker = WorkerProcess(slot, place, self.generation, ours, reader)
        try:
            worker.pid = self._make_process(worker, theirs, writer)
        except OSError:
            worker.close()
            raise
        finally:
            theirs.close()
            os.close(writer)
        return worker

    def job(self, slot: int, place: int, channel: Channel, stacks: int) -> Job:
        """What a worker needs to know, in its own process."""
        return Job(
            self.settings,
            self.target,
            self.listeners,
            directory=self.directory,
            scoreboard=self.scoreboard,
            hooks=self.hooks,
            slot=slot,
            place=place,
            generation=self.generation,
            channel=channel,
            stacks=stacks,
        )

    def processes(self) -> list[int]:
        """Process ids of those that are needed to make workers, and are none."""
        return []

    def close(self) -> None:
        """No more workers will be asked for."""

    def kill(self) -> None:
        """Launch nothing of what was asked for and has not begun."""

    def _make_process(self, worker: WorkerProcess, theirs: Channel, stacks: int) -> int:
        """The new worker's process id; 0 when that is not known yet."""
        pid = os.fork()
        if pid:
            return pid
        try:
            self._in_child()
            worker.close()
            run_worker(self.job(worker.slot, worker.place, theirs, stacks))
        finally:
            # Whatever went wrong: this process is not the supervisor.
            leave(1)


def is_descendant(pid: int) -> bool:
    """Whether a process is a child of this one, or a child's child; True where the system does not tell."""
    for _ in range(GENERATIONS_BELOW):
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                # The name before the parent's id may have spaces and brackets in it (proc_pid_stat(5)).
                pid = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return not os.path.exists("/proc/self/stat")
        if pid == os.getpid():
            return True
    return False


def reason_of(status: int) -> str:
    """A wait status in words."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return f"killed by {name}" + (" (core dumped)" if os.WCOREDUMP(status) else "")
    return f"exit code {os.waitstatus_to_exitcode(status)}"
