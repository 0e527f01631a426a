"""Drives an application through lint's requests, without sockets, and collects what was found."""

from __future__ import annotations

from ..testing.environ import make_environ
from ..testing.gateway import MemoryExchange
from . import places
from .check_head import status_code_of
from .requests import make_requests
from .rule import SEVERITIES
from .wrapper import Lint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import WSGIApplication, WSGIEnvironment

    from .record import Finding
    from .requests import LintRequest

# An answer without an end is closed after so much: a client may go away too.
MAX_CHUNKS = 2000
MAX_BYTES = 64 * 1024 * 1024

# Beyond these, a variable may be absent (PEP 3333, environ Variables).
OPTIONAL_VARIABLES = ("QUERY_STRING", "REQUEST_URI", "REMOTE_ADDR", "HTTP_HOST", "SCRIPT_NAME")


class Report:
    """What a drive has found. requests: how many were sent."""

    def __init__(self, findings: list[Finding], requests: int) -> None:
        self.findings = findings
        self.requests = requests

    def at_least(self, severity: str) -> list[Finding]:
        """The findings that are as bad, or worse."""
        counted = SEVERITIES[SEVERITIES.index(severity) :]
        return [finding for finding in self.findings if finding.severity in counted]

    @property
    def codes(self) -> set[str]:
        """The codes that were found."""
        return {finding.code for finding in self.findings}


def drive(
    application: WSGIApplication,
    *,
    targets: Iterable[str] = ("/",),
    safe_only: bool = False,
    ignore: Iterable[str] = (),
) -> Report:
    """Call an application with each of lint's requests, one after another.

    targets: paths, with their queries, that it knows. safe_only: no POST, PUT, PATCH, DELETE: the application
    is really called, and does what it does. An error of its own ends the exchange, and is a finding.
    """
    lint = Lint(application, report=_keep_only, ignore=ignore)
    statuses: dict[tuple[str, str], int] = {}
    count = 0
    for request in make_requests(targets, safe_only=safe_only):
        count += 1
        status = run_request(lint, request)
        if not request.headers and not request.body and not request.is_bare and request.chunks_taken is None:
            statuses[request.method, request.target] = status
    _compare_head_with_get(lint, statuses)
    # What only the server's side could break was broken by this driver, not by the user.
    return Report([finding for finding in lint.findings if not finding.code.startswith("BK5")], count)


def run_request(application: WSGIApplication, request: LintRequest) -> int:
    """One exchange to its end, or as far as the request says; the result is the status, 0 for none."""
    try:
        exchange = MemoryExchange(application, _environ_of(request))
    except (Exception, SystemExit):
        return 0
    try:
        _take(exchange, request.chunks_taken)
    except (Exception, SystemExit):
        # Told by Lint, where it is the application's doing.
        return status_code_of(exchange.status)
    finally:
        _close(exchange)
    return status_code_of(exchange.status)


def _take(exchange: MemoryExchange, wanted: int | None) -> None:
    size = 0
    if wanted == 0:
        return
    for number, chunk in enumerate(exchange, start=1):
        size += len(chunk)
        if number in (wanted, MAX_CHUNKS) or size > MAX_BYTES:
            return


def _close(exchange: MemoryExchange) -> None:
    try:
        exchange.close()
    except (Exception, SystemExit):
        # Told by Lint.
        return


def _environ_of(request: LintRequest) -> WSGIEnvironment:
    environ = make_environ(request.method, request.target, headers=request.headers, body=request.body)
    if request.is_bare:
        for name in OPTIONAL_VARIABLES:
            del environ[name]
    return environ


def _compare_head_with_get(lint: Lint, statuses: dict[tuple[str, str], int]) -> None:
    for (method, target), status in statuses.items():
        got = statuses.get(("GET", target))
        # 405 and 501 say that HEAD is not there at all, which is said plainly.
        if method == "HEAD" and got and status and status != got and status not in (405, 501):
            place = places.of_application(lint.application)
            lint.note("BK205", f"GET is answered with {got}, HEAD with {status}", place, f"HEAD {target}")


def _keep_only(_finding: Finding) -> None:
    """The report is made from all of them together."""
