"""Findings: what was seen, where and in which request. Each is kept once, and there is a bound on all."""

from __future__ import annotations

import threading

from .codes import RULES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .places import Place
    from .rule import Rule

# Protects memory when an application is wrong in ever new places, as generated code can be.
MAX_FINDINGS = 1000

# Longest value that a finding repeats, in characters.
SHOWN_CHARS = 120


class Finding:
    """One broken rule: what was seen, the line that did it, the request that showed it."""

    __slots__ = ("place", "request", "rule", "seen")

    def __init__(self, rule: Rule, seen: str, place: Place, request: str) -> None:
        self.rule = rule
        self.seen = seen
        self.place = place
        self.request = request

    @property
    def code(self) -> str:
        """The stable code, such as BK101."""
        return self.rule.code

    @property
    def severity(self) -> str:
        """error, warning or advice."""
        return self.rule.severity

    def __str__(self) -> str:
        return (
            f"{self.code} {self.severity}: {self.rule.title}: {self.seen}. At {self.place}. {self.rule.mend}"
        )


class Recorder:
    """Keeps the findings of one Lint. Any thread may call it: `_lock` guards both containers.

    report: called for each new finding, outside the lock.
    """

    def __init__(self, ignore: Iterable[str]) -> None:
        self._ignored = frozenset(ignore)
        unknown = sorted(self._ignored - RULES.keys())
        if unknown:
            raise ValueError(f"there is no lint code {', '.join(unknown)}; docs/reference/lint lists them")
        self._lock = threading.Lock()
        self._known: set[tuple[object, ...]] = set()
        self._findings: list[Finding] = []

    @property
    def findings(self) -> list[Finding]:
        """All so far, in the order in which they were seen."""
        with self._lock:
            return list(self._findings)

    def add(
        self, code: str, seen: str, place: Place, request: str, report: Callable[[Finding], object]
    ) -> None:
        """Keep a finding that is new: a code is told once for each place."""
        if code in self._ignored:
            return
        key = (code, *place.key)
        with self._lock:
            if key in self._known or len(self._findings) >= MAX_FINDINGS:
                return
            self._known.add(key)
            finding = Finding(RULES[code], seen, place, request)
            self._findings.append(finding)
        report(finding)


def show(value: object) -> str:
    """A value as a finding repeats it: one line, cut."""
    try:
        text = ascii(value)
    except Exception as error:  # a __repr__ of the application's own
        text = f"an object of type {type(value).__name__} whose repr() raises {type(error).__name__}"
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "..."
