"""What the supervisor does for commands from the control socket; commands.py tells their form."""

from __future__ import annotations

import functools
import os
import sys
import time

from .launcher import DRAINING, SERVING
from .scoreboard import now_ns
from .stacks import StackRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .control import Reply
    from .launcher import WorkerProcess
    from .reloading import Outcome
    from .supervisor import Supervisor

CODE_FAILED = 1
CODE_MISUSED = 2

MOST_REQUESTS_TOLD = 1000

# The engine counts how often a connection's index was used again in the bits above.
INDEX_MASK = 0xFFFFFFFF


class SupervisorCommands:
    """One method per command; `handle` finds it."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def handle(self, command: str, arguments: dict[str, Any], reply: Reply) -> None:
        """Do it; the reply is finished now or when it is done."""
        commands = {
            "status": self._status,
            "requests": self._requests,
            "stacks": self._stacks,
            "reload": self._reload,
            "upgrade": self._upgrade,
            "scale": self._scale,
            "recycle": self._recycle,
            "reopen-logs": self._reopen_logs,
            "stop": self._stop,
            "kill-request": self._kill_request,
        }
        do = commands.get(command)
        if do is None:
            reply.finish(
                CODE_MISUSED, error=f"there is no command {command[:40]!r}; barkeep --help lists them."
            )
        else:
            do(arguments, reply)

    # -- looking --------------------------------------------------------------------------------------

    def _status(self, _arguments: dict[str, Any], reply: Reply) -> None:
        from importlib.metadata import version

        supervisor = self._supervisor
        current, last = supervisor.current, supervisor.reloader.last
        usage = supervisor.watchman.usage()
        memory = {pid: used.pss for pid, used in usage.items()}
        reply.finish(
            data={
                "name": supervisor.settings.name,
                "version": version("barkeep"),
                "python": ".".join(str(part) for part in sys.version_info[:3]),
                "pid": os.getpid(),
                "uptime_s": time.monotonic() - supervisor.began_s,
                "state": supervisor.state(),
                "generation": current.number if current else 0,
                "listeners": [listener.url for listener in supervisor.listeners],
                "workers_wanted": current.wanted if current else 0,
                "memory_bytes": supervisor.watchman.other_bytes() + sum(memory.values()) if memory else None,
                "memory_budget_bytes": supervisor.watchman.budget_bytes,
                "last_reload": None if last is None else describe_outcome(last),
                "workers": [
                    self._describe(worker, memory.get(worker.pid)) for worker in supervisor.workers_by_slot()
                ],
            }
        )

    def _describe(self, worker: WorkerProcess, memory_bytes: int | None) -> dict[str, Any]:
        reading = self._supervisor.places.reading(worker)
        application = reading.histograms["application"]
        state = reading.state
        if worker.state == DRAINING:
            state = "draining"
        elif worker.state != SERVING:
            state = "starting"
        return {
            "slot": worker.slot,
            "pid": worker.pid,
            "generation": worker.generation,
            "state": state,
            "age_s": time.monotonic() - worker.began_s,
            "requests": reading.counters["requests"],
            "timed_out": reading.counters["timed_out"],
            "aborted": reading.counters["aborted"],
            "threads": reading.threads,
            "busy": reading.busy_threads,
            "quarantined": reading.quarantined,
            "queued": reading.queued,
            "connections": reading.connections,
            "memory_bytes": memory_bytes,
            "application_p50_s": application.percentile_us(50) / 1e6 if application.count else None,
            "application_p99_s": application.percentile_us(99) / 1e6 if application.count else None,
        }

    def _requests(self, _arguments: dict[str, Any], reply: Reply) -> None:
        read_ns = now_ns()
        requests = [
            {
                "id": f"{worker.place}.{exchange.connection & INDEX_MASK}.{exchange.number}",
                "slot": worker.slot,
                "age_s": (read_ns - exchange.first_byte_ns) / 1e9,
                "phase": exchange.phase,
                "client": exchange.client,
                "method": exchange.method,
                "path": exchange.target,
                "thread": exchange.thread or None,
            }
            for worker in self._supervisor.workers_by_slot()
            for exchange in self._supervisor.places.exchanges(worker)
        ]
        requests.sort(key=lambda request: float(request["age_s"] or 0), reverse=True)
        left_out = max(0, len(requests) - MOST_REQUESTS_TOLD)
        reply.finish(data={"requests": requests[:MOST_REQUESTS_TOLD], "left_out": left_out})

    def _stacks(self, arguments: dict[str, Any], reply: Reply) -> None:
        slot = arguments.get("slot")
        workers = [w for w in self._supervisor.workers_by_slot() if slot is None or w.slot == slot]
        if not workers:
            reply.finish(CODE_FAILED, error=f"no worker has slot {slot}.")
            return
        found: list[dict[str, object]] = []

        def add(worker: WorkerProcess, text: str) -> None:
            found.append({"slot": worker.slot, "pid": worker.pid, "text": text})
            if len(found) == len(workers):
                reply.finish(data={"stacks": sorted(found, key=lambda one: (one["slot"], one["pid"]))})

        for worker in workers:
            StackRequest(self._supervisor.loop, worker, functools.partial(add, worker))

    # -- changing -------------------------------------------------------------------------------------

    def _reload(self, _arguments: dict[str, Any], reply: Reply) -> None:
        def done(outcome: Outcome) -> None:
            data = {"generation": outcome.generation, "traceback": outcome.traceback}
            error = "" if outcome.is_good else f"reload failed, nothing has changed: {outcome.reason}"
            reply.finish(0 if outcome.is_good else CODE_FAILED, error=error, data=data)

        if self._refuse_while_stopping(reply):
            return
        reply.send("loading a new generation")
        self._supervisor.reloader.ask(done)

    def _upgrade(self, _arguments: dict[str, Any], reply: Reply) -> None:
        def done(pid: int, why: str) -> None:
            reply.finish(CODE_FAILED if why else 0, error=why, data={"pid": pid})

        if self._refuse_while_stopping(reply):
            return
        reply.send("starting a new supervisor")
        self._supervisor.upgrader.ask(done)

    def _scale(self, arguments: dict[str, Any], reply: Reply) -> None:
        workers = arguments.get("workers")
        if self._refuse_while_stopping(reply):
            return
        if not isinstance(workers, int) or not 1 <= workers <= 256:
            reply.finish(CODE_MISUSED, error=f"workers must be from 1 to 256, found {workers!r}.")
            return
        self._supervisor.scale(workers)
        reply.finish(data={"workers": workers})

    def _recycle(self, arguments: dict[str, Any], reply: Reply) -> None:
        current, slot = self._supervisor.current, arguments.get("slot")
        worker = current.in_slot(slot) if current is not None and isinstance(slot, int) else None
        if self._refuse_while_stopping(reply):
            return
        if current is None or worker is None or worker.state != SERVING:
            reply.finish(CODE_FAILED, error=f"no worker serves in slot {slot!r}.")
            return

        def done(pid: int, why: str) -> None:
            reply.finish(CODE_FAILED if why else 0, error=why, data={"pid": pid})

        current.replace(worker, "an operator asked for it", done)

    def _reopen_logs(self, _arguments: dict[str, Any], reply: Reply) -> None:
        self._supervisor.reopen_logs()
        reply.finish()

    def _stop(self, _arguments: dict[str, Any], reply: Reply) -> None:
        self._supervisor.when_stopped(
            lambda aborted: reply.finish(1 if aborted else 0, data={"aborted": aborted})
        )
        self._supervisor.stop("stop command: finishing what was begun")

    def _kill_request(self, arguments: dict[str, Any], reply: Reply) -> None:
        place, connection, number = _parse_id(arguments.get("id"))
        for worker in self._supervisor.workers_by_slot():
            if worker.place == place:
                for exchange in self._supervisor.places.exchanges(worker):
                    if (exchange.connection & INDEX_MASK, exchange.number) == (connection, number):
                        worker.tell("kill_request", connection=exchange.connection, number=number)
                        reply.finish()
                        return
        reply.finish(CODE_FAILED, error=f"there is no request {arguments.get('id')!r} under way.")

    def _refuse_while_stopping(self, reply: Reply) -> bool:
        if self._supervisor.is_stopping:
            reply.finish(CODE_FAILED, error="the server is stopping.")
        return self._supervisor.is_stopping


def describe_outcome(outcome: Outcome) -> dict[str, Any]:
    """How a reload ended, for status."""
    return {
        "is_good": outcome.is_good,
        "generation": outcome.generation,
        "ago_s": time.monotonic() - outcome.at_s,
        "reason": outcome.reason,
    }


def _parse_id(text: object) -> tuple[int, int, int]:
    parts = text.split(".") if isinstance(text, str) else []
    if len(parts) == 3 and all(part.isascii() and part.isdigit() and len(part) <= 20 for part in parts):
        return int(parts[0]), int(parts[1]), int(parts[2])
    return -1, -1, -1
