"""The account of the chaos test: what became of each request, and with which worker the lost ones went."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from tests.behaviour.chaos_load import LOST, WRONG, Fate

# Lines of the server's log: a worker that is gone, and one that the supervisor is about to kill itself.
ENDED = re.compile(r"^(\S+) .*worker \d+ \(pid (\d+), generation \d+\) has ended: killed by SIGKILL(.*)")
STALLED = re.compile(r"^(\S+) .*worker \d+ \(pid (\d+), generation \d+\) is killed: ")


class Account:
    """killed: process id -> when chaos killed it, seconds since the epoch. log: the server's, whole.

    others: faults that were seen on the way.
    """

    def __init__(
        self, fates: Sequence[Fate], killed: dict[int, float], log: Sequence[str], others: Sequence[str] = ()
    ) -> None:
        self.fates = fates
        self.log = log
        self._others = others
        # By process id: what the log says it had, and when it says so.
        self._ended: dict[int, str] = {}
        self._ended_at_s: dict[int, float] = {}
        self._killed_at_s = dict(killed)
        for line in log:
            if (ended := ENDED.match(line)) is not None:
                self._ended[int(ended[2])] = ended[3]
                self._ended_at_s[int(ended[2])] = _epoch_s(ended[1])
            elif (stalled := STALLED.match(line)) is not None:
                self._killed_at_s[int(stalled[2])] = _epoch_s(stalled[1])

    def faults(self) -> list[str]:
        """What cannot be accounted for; empty when all is well."""
        faults = list(self._others)
        faults += [line for line in self.log if "this is a bug in barkeep" in line]
        faults += [f"{fate}" for fate in self.fates if fate.outcome == WRONG]
        faults += [f"lost with no worker: {fate}" for fate in self.fates if self._is_inexplicable(fate)]
        faults += [
            f"worker {pid} ended by SIGKILL, and nobody had killed it"
            for pid in self._ended
            if pid not in self._killed_at_s
        ]
        return faults

    def told(self) -> str:
        """The account in one line."""
        counts = Counter(fate.outcome for fate in self.fates)
        named = sum(bool(self._named_in(fate)) for fate in self.fates if fate.outcome == LOST)
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
        return f"{len(self.fates)} requests: {outcomes} ({named} of them named); {len(self._ended)} killed"

    def _is_inexplicable(self, fate: Fate) -> bool:
        if fate.outcome != LOST:
            return False
        if fate.pid:
            # On a connection that was known to be this worker's.
            return fate.pid not in self._ended
        if self._named_in(fate):
            return False
        # On a new connection: the worker had accepted it and read nothing yet. It accepts until the very end.
        return not any(
            self._killed_at_s.get(pid, fate.ended_s) <= fate.ended_s and fate.began_s <= ended_at_s
            for pid, ended_at_s in self._ended_at_s.items()
        )

    def _named_in(self, fate: Fate) -> list[int]:
        """The killed workers whose last line names this request."""
        return [pid for pid, told in self._ended.items() if f"{fate.request} from " in told]


def _epoch_s(text: str) -> float:
    """A time of the log. Python 3.10 does not read the Z."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
