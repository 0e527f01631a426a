"""lint's driver: what it sends, what it compares, and that no application can stop it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import bottle  # type: ignore[import-untyped]
import flask
import pytest

from barkeep.lint import drive
from barkeep.lint.requests import LARGE_BYTES, make_requests
from tests.broken_applications import BROKEN, PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment


def test_every_kind_of_request_is_sent() -> None:
    requests = list(make_requests(["/"]))
    methods = {request.method for request in requests}
    assert {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"} < methods
    names = {name for request in requests for name, _value in request.headers}
    assert {"If-None-Match", "If-Modified-Since", "Range", "Accept-Encoding", "Cookie"} <= names
    assert any(isinstance(request.body, list) for request in requests)
    assert any(len(request.body) == LARGE_BYTES for request in requests)
    assert {request.chunks_taken for request in requests} == {None, 0, 1}


def test_safe_drive_changes_nothing() -> None:
    assert {request.method for request in make_requests(["/"], safe_only=True)} == {"GET", "HEAD", "OPTIONS"}


# The others look at the very body that they are given.
STEADY = [(code, application) for code, application in BROKEN if code not in ("BK301", "BK302")]


@pytest.mark.parametrize(
    ("code", "application"),
    [pytest.param(*case, id=f"{case[0]}-{number}") for number, case in enumerate(STEADY)],
)
def test_drive_finds_what_a_single_request_finds(code: str, application: Any) -> None:
    assert code in drive(application).codes


def test_head_that_differs_from_get_is_found() -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        is_get = environ["REQUEST_METHOD"] == "GET"
        start_response("200 OK" if is_get else "500 Internal Server Error", [PLAIN])
        return []

    [finding] = drive(application).findings
    assert (finding.code, finding.seen) == ("BK205", "GET is answered with 200, HEAD with 500")


def test_variable_that_may_be_absent_and_is_used_is_found() -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        query = environ["QUERY_STRING"]
        start_response("200 OK", [PLAIN])
        return [query.encode("latin-1")]

    [finding] = drive(application).findings
    assert (finding.code, finding.seen) == ("BK211", "KeyError: \"'QUERY_STRING'\"")


def test_answer_without_an_end_is_closed() -> None:
    closed: list[str] = []

    class Endless:
        def __iter__(self) -> Iterator[bytes]:
            return itertools.repeat(b"sixteen bytes...")

        def close(self) -> None:
            closed.append("close")

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Endless:
        start_response("200 OK", [PLAIN])
        return Endless()

    report = drive(application)
    assert report.findings == []
    assert len(closed) == report.requests


def test_findings_are_counted_from_a_severity_on() -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [PLAIN, ("Server", "mine"), ("X-Padded", " "), ("Connection", "close")])
        return []

    report = drive(application)
    assert [finding.code for finding in report.at_least("error")] == ["BK115"]
    assert sorted(finding.code for finding in report.at_least("warning")) == ["BK113", "BK115"]
    assert sorted(finding.code for finding in report.at_least("advice")) == ["BK113", "BK115", "BK127"]


def test_flask_and_bottle_have_no_finding() -> None:
    site = flask.Flask("site")
    site.add_url_rule("/", view_func=lambda: "hello", methods=["GET", "POST"])
    bar = bottle.Bottle()
    bar.route("/", callback=lambda: "hello")
    assert [str(finding) for finding in drive(site).findings] == []
    assert [str(finding) for finding in drive(bar).at_least("warning")] == []
