"""One row of lint's table of codes: what is wrong, how bad it is, who says so, and how to mend it."""

from __future__ import annotations

# A MUST is broken; a SHOULD is, or something that clients and servers stumble over; a habit to leave.
ERROR = "error"
WARNING = "warning"
ADVICE = "advice"

# From the least to the worst.
SEVERITIES = (ADVICE, WARNING, ERROR)


class Rule:
    """A code and what it means. A code is never given to another rule, and never goes away.

    title: what was done wrong, as a sentence without its full stop.
    source: the specification and the heading in it. why: what goes wrong otherwise. mend: what to do.
    in_validate: whether wsgiref.validate finds it too.
    """

    __slots__ = ("code", "in_validate", "mend", "severity", "source", "title", "why")

    def __init__(
        self,
        code: str,
        severity: str,
        title: str,
        source: str,
        *,
        why: str,
        mend: str,
        in_validate: bool = False,
    ) -> None:
        self.code = code
        self.severity = severity
        self.title = title
        self.source = source
        self.why = why
        self.mend = mend
        self.in_validate = in_validate
