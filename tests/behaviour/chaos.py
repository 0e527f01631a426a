"""Steps 1 to 6, under everything that goes wrong - one server, its load, and what a seed does to it.

test_chaos.py runs it and reads the account. Between two events some more requests have
met their fate.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from tests.behaviour.chaos_account import Account
from tests.behaviour.chaos_load import PATIENCE_S, Load
from tests.behaviour.processes import ServerProcess

ROOT = Path(__file__).resolve().parents[2]

OPTIONS = (
    *("--bind", "127.0.0.1:0", "--workers", "3", "--threads", "4", "--control-socket", "control.sock"),
    *("--pythonpath", str(ROOT), "--access-log", "access.log", "--warm-up", "/hello/0"),
    *("--timeout", "1s", "--timeout-grace", "500ms", "--settle-time", "100ms", "--graceful-timeout", "15s"),
)

GOOD = "from tests.behaviour.chaos_site import application\n"
BROKEN = (
    "def application(\n",
    "from tests.behaviour.chaos_site import application as other\n",
    "raise RuntimeError('on purpose')\n",
    "import os\nos._exit(7)\n",
    "def application(environ, start_response):\n    start_response('500 No', [])\n    return []\n",
)

# Requests between two events.
FEWEST, MOST = 20, 200
# When they do not come, because every worker has died, the next event comes all the same.
LONGEST_S = 2.0

# A process that chaos has just killed is why a good version did not come into service.
KILLED_ON_TRIAL = ("has ended: killed by SIGKILL", "the process that loads the application has ended")


class Chaos:
    """One server in an empty directory. The same seed decides on the same events.

    Whoever makes it closes it, which kills what still runs.
    """

    def __init__(self, directory: Path, seed: int, *, preload: bool) -> None:
        self.events: list[str] = []
        self._chance = random.Random(seed)
        self._directory = directory
        self._is_preloading = preload
        self._killed: dict[int, float] = {}
        self._faults: list[str] = []
        # A reload or an upgrade: one at a time, the other events go on meanwhile.
        self._under_way = threading.Thread()
        self._site(GOOD)
        self._disk_is_full(is_full=False)
        self._server = ServerProcess(
            "release.py:application", *OPTIONS, *["--preload"] * preload, cwd=directory
        )
        self._supervisor = self._server.pid
        self._load = Load(self._server.address(), seed)

    def run(self, seconds: float) -> Account:
        """Do it for so long, stop the server, and account for every request."""
        self._server.gather_log()
        self._load.start()
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s and not self._faults:
            self._load.wait_for_more(self._chance.randint(FEWEST, MOST), LONGEST_S)
            (event,) = self._chance.choices(list(EVENTS), list(EVENTS.values()))
            self._begin(event.__name__)
            event(self)
        self._wait_for_what_is_under_way()
        if not self._load.stop():
            looks = [self.ask(command) for command in ("status", "requests", "stacks")]
            self._faults.append(f"a client still waits: {json.dumps(looks, indent=1)}")
        self._begin("stop")
        self.ask("stop")
        # The log ends when the last process that holds it has ended.
        self._server.wait()
        return Account(self._load.fates, self._killed, self._server.log, self._faults)

    def close(self) -> None:
        """Kill the supervisors; workers end without one."""
        for pid in {self._supervisor, self._server.pid}:
            self._kill_if_ours(pid)
        self._server.close()

    def ask(self, command: str, **arguments: object) -> dict[str, Any]:
        """The last line of what the control socket answers."""
        with closing(socket.socket(socket.AF_UNIX)) as client:
            client.settimeout(PATIENCE_S)
            client.connect(str(self._directory / "control.sock"))
            client.sendall(json.dumps({"command": command, "arguments": arguments}).encode() + b"\n")
            received = b""
            try:
                while piece := client.recv(65536):
                    received += piece
            except TimeoutError:
                self._faults.append(f"{command} had no end within {PATIENCE_S:g} s")
        lines = received.splitlines()
        last: dict[str, Any] = json.loads(lines[-1]) if lines else {}
        if not last.get("done"):
            self._faults.append(f"{command} was not answered: {lines}")
            return {"code": 1, "error": "", "data": {}}
        return last

    # -- what happens ---------------------------------------------------------------------------------

    def kill_worker(self) -> None:
        """SIGKILL to one of the workers, whatever it is doing."""
        pids = self._workers()
        if pids:
            self._kill(self._chance.choice(pids))

    def kill_zygote(self) -> None:
        """SIGKILL to what the workers were forked from; without --preload there is none."""
        if self._is_preloading:
            parents = {_parent_of(pid) for pid in self._workers()}
            for pid in sorted(parents - {0, self._supervisor})[:1]:
                self._kill(pid)

    def reload(self) -> None:
        """A good version; workers and zygotes may be killed while it loads."""

        def run() -> None:
            last = self.ask("reload")
            if last["code"] and not (self._killed and any(why in last["error"] for why in KILLED_ON_TRIAL)):
                self._faults.append(f"a good reload failed: {last}")

        self._begin_beside(run)

    def reload_broken(self) -> None:
        """A version that cannot serve. Nobody is killed meanwhile: without --preload nobody could follow."""
        self._wait_for_what_is_under_way()
        self._site(self._chance.choice(BROKEN))
        last = self.ask("reload")
        self._site(GOOD)
        if last["code"] == 0:
            self._faults.append(f"a broken reload was taken into service: {last}")

    def upgrade(self) -> None:
        """Another supervisor in the place of this one; its workers may be killed while it starts."""

        def run() -> None:
            last = self.ask("upgrade")
            if last["code"] == 0:
                self._supervisor = int(last["data"]["pid"])
            elif not self._killed:
                self._faults.append(f"an upgrade failed: {last}")

        self._begin_beside(run)

    def scale(self) -> None:
        """More workers, or fewer."""
        self.ask("scale", workers=self._chance.randint(1, 4))

    def recycle(self) -> None:
        """Another worker in the place of one; one that has just died cannot be replaced."""
        self.ask("recycle", slot=self._chance.randint(0, 3))

    def fill_disk(self) -> None:
        """The access log can take no more."""
        self._disk_is_full(is_full=True)
        self.ask("reopen-logs")

    def empty_disk(self) -> None:
        """It can again."""
        self._disk_is_full(is_full=False)
        self.ask("reopen-logs")

    def hang(self) -> None:
        """A request that does not come back in time, one of them with Python's lock held."""
        self._load.hang(self._chance)

    # -- parts ----------------------------------------------------------------------------------------

    def _begin(self, event: str) -> None:
        self.events.append(f"{time.strftime('%H:%M:%S', time.gmtime())} {event}")

    def _begin_beside(self, run: Callable[[], None]) -> None:
        self._wait_for_what_is_under_way()
        self._under_way = threading.Thread(target=run, daemon=True)
        self._under_way.start()

    def _wait_for_what_is_under_way(self) -> None:
        if self._under_way.ident is not None:
            self._under_way.join(PATIENCE_S)
            assert not self._under_way.is_alive(), "a reload or an upgrade has no end"

    def _workers(self) -> list[int]:
        """Process ids of the workers."""
        last = self.ask("status")
        if last.get("code") != 0:
            self._faults.append(f"there is no status: {last}")
            return []
        return [int(worker["pid"]) for worker in last["data"]["workers"] if worker["pid"]]

    def _kill(self, pid: int) -> None:
        before_s = time.time()
        if self._kill_if_ours(pid):
            self._killed[pid] = before_s
            self._begin(f"  process {pid}")

    def _kill_if_ours(self, pid: int) -> bool:
        """Not a process that has got the number of one that has just ended."""
        if sys.platform == "linux":
            with ExitStack() as stack:
                try:
                    descriptor = os.pidfd_open(pid)
                    stack.callback(os.close, descriptor)
                    if os.readlink(f"/proc/{pid}/cwd") == str(self._directory):
                        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                        return True
                except OSError:
                    pass
        return False

    def _site(self, source: str) -> None:
        fresh = self._directory / "release.py.new"
        fresh.write_text(source)
        fresh.replace(self._directory / "release.py")

    def _disk_is_full(self, *, is_full: bool) -> None:
        fresh = self._directory / "access.log.new"
        fresh.symlink_to("/dev/full" if is_full else "/dev/null")
        fresh.replace(self._directory / "access.log")


# What happens -> how often.
EVENTS: dict[Callable[[Chaos], None], int] = {
    Chaos.kill_worker: 8,
    Chaos.kill_zygote: 4,
    Chaos.reload: 6,
    Chaos.reload_broken: 4,
    Chaos.upgrade: 2,
    Chaos.scale: 5,
    Chaos.recycle: 5,
    Chaos.fill_disk: 2,
    Chaos.empty_disk: 3,
    Chaos.hang: 8,
}


def _parent_of(pid: int) -> int:
    """Process id of a parent; 0 when the process has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0
