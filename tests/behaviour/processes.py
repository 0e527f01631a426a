"""Steps 1 to 6 from outside - a server in a process of its own: its log, signals, end and usage."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.behaviour.clients import WAIT_S, Address

APPLICATION = f"{Path(__file__).with_name('applications.py')}:application"

# What a developer may have set for other servers; a test says itself what it wants.
FOREIGN_VARIABLES = ("PORT", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")


def clean_environ(**more: str) -> dict[str, str]:
    """The environment without what would change a server's settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("BARKEEP_") and name not in FOREIGN_VARIABLES
    }
    # Servers of other tests would fight for the one of the default name.
    return {**kept, "BARKEEP_CONTROL_SOCKET": "off", **more}


def children_of(pid: int) -> list[int]:
    """Process ids of the living children of a process with one thread, the oldest first."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_stopped(pid: int) -> bool:
    """Whether every thread of a process has been stopped by a signal."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks)


def wait_until(is_so: Callable[[], bool]) -> None:
    """For what only the system knows and nobody tells."""
    until_s = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < until_s
        os.sched_yield()


@contextmanager
def end_awaited(pid: int) -> Iterator[None]:
    """The block is over when the process has ended, which need be no child of ours."""
    if sys.platform == "linux":
        ended = os.pidfd_open(pid)
        try:
            yield
            select.select([ended], [], [])
        finally:
            os.close(ended)
    else:
        raise NotImplementedError("only Linux has descriptors for processes")


class ServerProcess:
    """`python -m barkeep WORDS`. Whoever makes it closes it, which kills it if it still runs.

    before: a program, and its words, that runs Python with the words after its own.
    """

    def __init__(
        self,
        *words: str,
        environ: dict[str, str] | None = None,
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
        before: Sequence[str] = (),
    ) -> None:
        self._process = subprocess.Popen(
            [*before, sys.executable, "-m", "barkeep", *words],
            env=clean_environ() if environ is None else environ,
            cwd=cwd,
            pass_fds=pass_fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._stdout, self._stderr = self._process.stdout, self._process.stderr
        self._unfinished = b""
        self._lines: list[str] = []
        self._told = 0
        self._reading: threading.Thread | None = None
        self._unfinished_output = b""
        self._output_lines: deque[str] = deque()

    @property
    def log(self) -> list[str]:
        """Lines of standard error that were read so far; all of them after `wait`."""
        return list(self._lines)

    def wait_for_log(self, text: str) -> str:
        """The next line that contains the text, after the one that was waited for last."""
        until_s = time.monotonic() + WAIT_S
        while True:
            while self._told < len(self._lines):
                line = self._lines[self._told]
                self._told += 1
                if text in line:
                    return line
            if not self._read(until_s):
                raise AssertionError(f"no line with {text!r} in the log: {self._lines}")

    def wait_for_output(self, text: str) -> str:
        """The next line of standard output that contains the text; those before it are dropped."""
        until_s = time.monotonic() + WAIT_S
        dropped: list[str] = []
        while True:
            while self._output_lines:
                line = self._output_lines.popleft()
                if text in line:
                    return line
                dropped.append(line)
            ready, _, _ = select.select([self._stdout], [], [], max(0.0, until_s - time.monotonic()))
            received = os.read(self._stdout.fileno(), 65536) if ready else b""
            if not received:
                raise AssertionError(f"no line with {text!r} in the output: {dropped}")
            *lines, self._unfinished_output = (self._unfinished_output + received).split(b"\n")
            self._output_lines += [line.decode() for line in lines]

    def address(self) -> Address:
        """Where its next listener listens; waits for the log to tell."""
        url = self.wait_for_log("listening on ").rpartition("listening on ")[2]
        kind, _, rest = url.partition(":")
        if kind == "unix":
            return rest
        host, _, port = rest.removeprefix("//").rpartition(":")
        return host.replace("0.0.0.0", "127.0.0.1"), int(port)

    def discard_log(self) -> None:
        """Read the log from now on and forget it, so that it never holds up the server."""
        self._read_beside(lambda _received: None)

    def gather_log(self) -> None:
        """Read the log from now on, so that it never holds up the server; all of it is there after `wait`."""
        self._read_beside(self._keep)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def pause(self) -> None:
        """Stop its workers in the middle of whatever they do, until `resume`."""
        for worker in self.workers():
            os.kill(worker, signal.SIGSTOP)
            # It may run on for a moment on another processor.
            while not is_stopped(worker):
                os.sched_yield()

    def resume(self) -> None:
        """Let its workers go on."""
        for worker in self.workers():
            os.kill(worker, signal.SIGCONT)

    def wait(self) -> int:
        """Its exit code; reads the rest of its log."""
        until_s = time.monotonic() + WAIT_S
        if self._reading is not None:
            self._reading.join(WAIT_S)
        while self._read(until_s):
            pass
        return self._process.wait(max(0.0, until_s - time.monotonic()))

    def wait_unread(self) -> int:
        """Its exit code, without reading its log."""
        return self._process.wait(WAIT_S)

    def stop(self) -> int:
        """SIGTERM, then its exit code."""
        self.send(signal.SIGTERM)
        return self.wait()

    def output(self) -> str:
        """All of standard output, after its end."""
        return self._stdout.read().decode()

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._process.pid

    def workers(self) -> list[int]:
        """Process ids of its workers, the oldest first."""
        return children_of(self.pid)

    def cpu_s(self) -> float:
        """CPU time that its one worker has used."""
        fields = Path(f"/proc/{self._worker()}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self) -> int:
        """Memory that is its one worker's own."""
        rollup = Path(f"/proc/{self._worker()}/smaps_rollup").read_text()
        kib = [int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_")]
        return sum(kib) * 1024

    def descriptors(self) -> int:
        """Descriptors that its one worker has open."""
        return len(os.listdir(f"/proc/{self._worker()}/fd"))

    def threads(self) -> int:
        """Threads that its one worker has."""
        return len(os.listdir(f"/proc/{self._worker()}/task"))

    def close(self) -> None:
        """Kill it if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(WAIT_S)
        if self._reading is not None:
            self._reading.join(WAIT_S)
        self._stdout.close()
        self._stderr.close()

    def _worker(self) -> int:
        (worker,) = self.workers()
        return worker

    def _read(self, until_s: float) -> bool:
        """Read more of the log; False when it has ended or time is up."""
        ready, _, _ = select.select([self._stderr], [], [], max(0.0, until_s - time.monotonic()))
        received = os.read(self._stderr.fileno(), 65536) if ready else b""
        self._keep(received)
        return bool(received)

    def _keep(self, received: bytes) -> None:
        *lines, self._unfinished = (self._unfinished + received).split(b"\n")
        self._lines += [line.decode() for line in lines]

    def _read_beside(self, take: Callable[[bytes], None]) -> None:
        def read_on() -> None:
            while received := os.read(self._stderr.fileno(), 65536):
                take(received)

        self._reading = threading.Thread(target=read_on, daemon=True)
        self._reading.start()
