"""Start and stop a server on its core; read what its process tree uses (proc(5), clock_gettime(2))."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator

from servers import BUILD, HERE, Places, command_line, environment_for
from workloads import Workload

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
MIB = 1024 * 1024


class ServerError(Exception):
    """A server did not start or went away; the message holds the end of its log."""


@dataclasses.dataclass(frozen=True)
class Server:
    """A running server. `started_at_s` is time.perf_counter() just before its process was made."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    log: pathlib.Path
    started_at_s: float

    def log_tail(self) -> str:
        """The last lines it wrote, as one line of at most 300 characters; a traceback's end says most."""
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return " / ".join(lines[-3:])[-300:]


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Run the block on one core; processes started in it stay there. The old choice comes back after it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(name: str, workload: Workload, places: Places, core: int) -> Iterator[Server]:
    """Start a server on `core`; it is killed with its session afterwards. Raises ServerError."""
    port = free_port()
    log = BUILD / f"{name}-{workload.name}.log"
    with log.open("wb") as output, on_core(core):
        started_at_s = time.perf_counter()
        try:
            process = subprocess.Popen(
                command_line(name, workload, port, places),
                cwd=HERE,
                env=environment_for(name, workload, places),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise ServerError(f"{name} cannot be started: {error}") from error
    try:
        yield Server(name, process, port, log, started_at_s)
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, then SIGKILL for the session, so that no worker is left to disturb the next measurement."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_TIMEOUT_S)


def wait_for_answer(server: Server, request: bytes) -> float:
    """Ask until the server answers 200. Returns the seconds from start to the answer's last byte of head.

    Connecting is tried every 0.5 ms, so that the figure is right to about a millisecond.
    """
    deadline_s = server.started_at_s + START_TIMEOUT_S
    while time.perf_counter() < deadline_s:
        if server.process.poll() is not None:
            raise ServerError(f"{server.name} ended with {server.process.returncode}: {server.log_tail()}")
        try:
            with socket.create_connection(("127.0.0.1", server.port), timeout=2.0) as connection:
                connection.sendall(request)
                head = connection.recv(65536)
        except OSError:
            time.sleep(0.0005)
            continue
        if head.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
            return time.perf_counter() - server.started_at_s
        raise ServerError(f"{server.name} answered {head[:60]!r}: {server.log_tail()}")
    raise ServerError(f"{server.name} did not answer within {START_TIMEOUT_S:.0f} s: {server.log_tail()}")


def process_tree(root: int) -> list[int]:
    """The process and all its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            fields = _stat_fields(int(entry))
            children.setdefault(int(fields[1]), []).append(int(entry))
    tree = [root]
    for process in tree:
        tree += children.get(process, [])
    return tree


def _stat_fields(process: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on; the second, the name, may hold spaces and brackets."""
    return pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def cpu_seconds(tree: list[int]) -> float:
    """User and system time of the tree: living processes and all their threads, plus children that ended.

    The clock of another process is (~pid << 3) | 2, which is what clock_getcpuclockid(3) computes; it has
    nanoseconds and counts threads that have ended too. Children that ended are known in ticks only (cutime
    and cstime of their parent).
    """
    total = 0.0
    for process in tree:
        with contextlib.suppress(OSError):
            total += time.clock_gettime((~process << 3) | 2)
            fields = _stat_fields(process)
            total += (int(fields[13]) + int(fields[14])) * TICK_S
    return total


def core_seconds(core: int) -> float:
    """Busy time of one core, everybody's: user, nice, system, irq, softirq and steal of /proc/stat."""
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        words = line.split()
        if words[0] == f"cpu{core}":
            return sum(int(words[index]) for index in (1, 2, 3, 6, 7, 8)) * TICK_S
    raise ValueError(f"core {core} is not in /proc/stat; choose one of {sorted(os.sched_getaffinity(0))}")


@dataclasses.dataclass(frozen=True)
class Memory:
    """Proportional set size of the whole tree, and resident size of its largest process (the worker)."""

    tree_pss_mib: float
    worker_rss_mib: float


def memory(tree: list[int]) -> Memory:
    """Read /proc/PID/smaps_rollup. The largest process is the worker: supervisors and routers are smaller."""
    pss_kib = 0
    worker_kib = 0
    for process in tree:
        with contextlib.suppress(OSError):
            lines = pathlib.Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:] if line.endswith("kB")}
            pss_kib += sizes.get("Pss", 0)
            worker_kib = max(worker_kib, sizes.get("Rss", 0))
    return Memory(pss_kib / 1024, worker_kib / 1024)
