"""Drives middleware around applications that keep every rule, with a lint on each side of it."""

from __future__ import annotations

import gc

from .driver import Report, run_request
from .probes import PROBES
from .record import Finding
from .requests import LintRequest
from .wrapper import Lint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import WSGIApplication

REQUESTS = (
    LintRequest("GET", "/"),
    LintRequest("GET", "/", is_bare=True),
    LintRequest("GET", "/", headers=[("Accept-Encoding", "gzip, br, zstd"), ("Origin", "http://a.example")]),
    LintRequest("GET", "/", headers=[("Range", "bytes=0-9"), ("If-None-Match", '"probe"')]),
    LintRequest("GET", "/", chunks_taken=0),
    LintRequest("GET", "/", chunks_taken=1),
    LintRequest("HEAD", "/"),
    LintRequest("OPTIONS", "/"),
    LintRequest("POST", "/", headers=[("Content-Type", "text/plain")], body=b"the request body"),
)

# Of lint's own doing: some probes use write(), and one request has no QUERY_STRING.
OUR_DOING = ("BK214", "BK517")


def drive_middleware(
    middleware: Callable[[WSGIApplication], WSGIApplication], *, ignore: Iterable[str] = ()
) -> Report:
    """Wrap each of lint's probes in this middleware, and send each a few requests.

    middleware: called with an application, gives the wrapped one. What it does wrong as an application has
    the codes BK1 to BK3, what it does wrong as a server BK5, and what it breaks between the two BK4.
    """
    ignored = tuple(ignore)
    found: dict[tuple[object, ...], Finding] = {}
    for probe in PROBES:
        inner = Lint(probe, report=_keep_only, ignore=ignored)
        outer = Lint(middleware(inner), report=_keep_only, ignore=ignored)
        _drive(outer)
        of_outer = [finding for finding in outer.findings if finding.code[2] != "5"]
        of_inner = [finding for finding in inner.findings if finding.code[2] in "45"]
        for finding in (*of_outer, *of_inner):
            if finding.code in OUR_DOING:
                continue
            name = getattr(probe, "__name__", "")
            told = Finding(finding.rule, f"{finding.seen} (around {name})", finding.place, finding.request)
            found.setdefault((finding.code, *finding.place.key), told)
    return Report(list(found.values()), len(PROBES) * len(REQUESTS))


def _drive(outer: Lint) -> None:
    """Send the requests. What was dropped without close() is told when it is gone, at once or at the end."""
    # Only what is made here can be garbage here; in a large program a look at all of it takes a second.
    is_ours_to_thaw = gc.get_freeze_count() == 0
    gc.freeze()
    try:
        for request in REQUESTS:
            run_request(outer, request)
        gc.collect()
    finally:
        if is_ours_to_thaw:
            gc.unfreeze()


def _keep_only(_finding: Finding) -> None:
    """The report is made from all of them together."""
