"""RequestId, ServerTiming and AccessLog: what they tell about a request."""

from __future__ import annotations

import json
import logging
import os
import re
from typing import TYPE_CHECKING

import pytest

from barkeep.errors import SettingError
from barkeep.middleware import log_file
from barkeep.middleware.access_log import AccessLog
from barkeep.middleware.request_id import RequestId, RequestIdFilter, current_request_id, current_traceparent
from barkeep.middleware.server_timing import ServerTiming
from tests.apps import answering
from tests.middleware_cases import Answer, Case, Tracked, call, check_both_sides, each_case, make_environ

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIEnvironment

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@each_case
def test_request_id_is_valid_on_both_sides(case: Case) -> None:
    for answer in check_both_sides(RequestId(), case, HTTP_X_REQUEST_ID="given"):
        assert case.error is not None or answer.field("X-Request-ID") == "given"
    assert current_request_id() == ""


@each_case
def test_server_timing_is_valid_on_both_sides(case: Case) -> None:
    for answer in check_both_sides(ServerTiming(), case):
        assert case.error is not None or re.fullmatch(r"app;dur=\d+\.\d", answer.field("Server-Timing") or "")


@each_case
@pytest.mark.parametrize("form", ["combined", "json"])
def test_access_log_is_valid_on_both_sides_and_has_a_line_for_each(
    case: Case, form: str, tmp_path: Path
) -> None:
    check_both_sides(AccessLog(str(tmp_path / "log"), format=form), case)
    assert len((tmp_path / "log").read_text().splitlines()) == 2


# -- RequestId ---------------------------------------------------------------------------------------


def test_an_id_is_made_where_there_is_none() -> None:
    first, second = (call(RequestId()(answering(b""))).field("X-Request-ID") for _ in range(2))
    assert re.fullmatch("[0-9a-f]{32}", first or "")
    assert first != second


@pytest.mark.parametrize("found", ["a b", "x" * 129, "a\\n", "", "-x", "<script>", '"', "\u0663"])
def test_an_id_that_could_do_harm_is_replaced(found: str) -> None:
    answer = call(RequestId()(answering(b"")), make_environ(HTTP_X_REQUEST_ID=found))
    assert re.fullmatch("[0-9a-f]{32}", answer.field("X-Request-ID") or "")


def test_ids_of_clients_can_be_ignored_and_the_field_named() -> None:
    piece = RequestId(header="X-Trace", accept=False)
    answer = call(piece(answering(b"")), make_environ(HTTP_X_TRACE="given"))
    assert answer.field("X-Trace") not in (None, "given")


def test_a_trace_is_continued_with_a_span_of_our_own() -> None:
    environ = make_environ(HTTP_TRACEPARENT=TRACE, HTTP_TRACESTATE="a=b")
    answer = call(RequestId()(answering(b"")), environ)
    told = answer.field("traceresponse") or ""
    assert re.fullmatch("00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-01", told)
    assert told != TRACE
    assert environ["HTTP_TRACEPARENT"] == environ["barkeep.traceparent"] == told
    assert environ["HTTP_TRACESTATE"] == "a=b"


@pytest.mark.parametrize(
    "found",
    [
        TRACE.upper(),
        TRACE + "-more",
        "ff" + TRACE[2:],
        TRACE.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        TRACE.replace("00f067aa0ba902b7", "0" * 16),
        "nonsense",
    ],
)
def test_a_broken_trace_begins_anew_without_its_state(found: str) -> None:
    environ = make_environ(HTTP_TRACEPARENT=found, HTTP_TRACESTATE="a=b")
    told = call(RequestId()(answering(b"")), environ).field("traceresponse") or ""
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", told)
    assert "4bf92f3577b34da6a3ce929d0e0e4736" not in told
    assert "HTTP_TRACESTATE" not in environ


def test_a_trace_of_a_later_version_is_continued() -> None:
    answer = call(RequestId()(answering(b"")), make_environ(HTTP_TRACEPARENT="01" + TRACE[2:] + "-more"))
    assert (answer.field("traceresponse") or "").startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")


def test_tracing_can_be_off() -> None:
    environ = make_environ(HTTP_TRACEPARENT=TRACE)
    assert call(RequestId(trace=False)(answering(b"")), environ).field("traceresponse") is None
    assert environ["HTTP_TRACEPARENT"] == TRACE


def test_log_records_have_the_id_while_a_body_is_made_and_not_after() -> None:
    told: list[tuple[str, str]] = []

    def tell() -> None:
        record = logging.makeLogRecord({})
        assert RequestIdFilter().filter(record)
        told.append((record.request_id, record.trace_id))  # type: ignore[attr-defined]

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        tell()
        yield b"x"

    call(RequestId()(application), make_environ(HTTP_X_REQUEST_ID="given", HTTP_TRACEPARENT=TRACE))
    tell()
    assert told == [("given", "4bf92f3577b34da6a3ce929d0e0e4736"), ("-", "-")]
    assert current_traceparent() == ""


def test_id_is_forgotten_when_the_application_fails() -> None:
    def application(_environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
        raise LookupError

    assert type(call(RequestId()(application)).error) is LookupError
    assert current_request_id() == ""


# -- ServerTiming ------------------------------------------------------------------------------------


def test_measurements_of_the_application_are_sent_beside_the_total() -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        timings = environ["barkeep.timings"]
        with timings.measure("db", 'two "queries"\u00fc'):
            pass
        timings.add("hit")
        timings.add("cache", 1.25)
        start_response("200 OK", [("Server-Timing", "own;dur=1")])
        return []

    answer = call(ServerTiming("all", allow_origin="*")(application))
    assert re.fullmatch(
        r'own;dur=1, all;dur=[\d.]+, db;dur=[\d.]+;desc="two \\"queries\\"\\\\xfc", hit, cache;dur=1.2',
        answer.field("Server-Timing") or "",
    )
    assert answer.field("Timing-Allow-Origin") == "*"


def test_a_loop_of_measurements_does_not_make_a_huge_head() -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        for _ in range(1000):
            environ["barkeep.timings"].add("query")
        with pytest.raises(ValueError, match="a timing needs a name"):
            environ["barkeep.timings"].add("a b")
        start_response("200 OK", [])
        return []

    assert (call(ServerTiming()(application)).field("Server-Timing") or "").count("query") == 50


# -- AccessLog ---------------------------------------------------------------------------------------


def lines(tmp_path: Path, answer: Answer | None = None) -> list[str]:
    return (tmp_path / "log").read_text(encoding="ascii").splitlines()


def test_combined_line_has_the_fields_of_apache(tmp_path: Path) -> None:
    piece = AccessLog(str(tmp_path / "log"))
    environ = make_environ("/a b", QUERY_STRING="c=d", HTTP_REFERER="http://r", REMOTE_USER="me")
    environ["HTTP_USER_AGENT"] = 'x"\\\u00ff\n'
    call(piece(answering(b"12", b"345")), environ)
    assert re.fullmatch(
        r'192\.0\.2\.7 - me \[\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET /a b\?c=d HTTP/1\.1" '
        r'200 5 "http://r" "x\\x22\\x5c\\xff\\x0a" [\d.]+',
        lines(tmp_path)[0],
    )


def test_json_line_is_an_object(tmp_path: Path) -> None:
    piece = AccessLog(str(tmp_path / "log"), format="json")
    call(
        RequestId()(piece(answering(b"12", status="404 Not Found"))), make_environ(HTTP_X_REQUEST_ID="given")
    )
    told = json.loads(lines(tmp_path)[0])
    assert (told["status"], told["bytes"], told["path"], told["request_id"]) == (404, 2, "/", "given")


@pytest.mark.parametrize(
    ("status", "told"), [("099 Odd", 99), ("\u0661\u0661\u0661 Odd", "\u0661\u0661\u0661")]
)
def test_json_line_is_an_object_whatever_is_in_it(tmp_path: Path, status: str, told: object) -> None:
    environ = make_environ('/"\\\u00ff\n', HTTP_USER_AGENT='{"a": "b"}\u2028', QUERY_STRING='"')
    call(AccessLog(str(tmp_path / "log"), format="json")(answering(b"", status=status)), environ)
    [line] = lines(tmp_path)
    found = json.loads(line)
    assert (found["path"], found["user_agent"]) == ('/"\\\u00ff\n?"', '{"a": "b"}\u2028')
    assert (found["status"], found["user"]) == (told, "")


@pytest.mark.parametrize(
    ("body", "counted"), [([b"ab", b"c"], 3), (Tracked([b"ab", b"c"]), 3), (iter([b"abc"]), 3)]
)
def test_bytes_are_counted_in_each_form_of_body(body: Iterable[bytes], counted: int, tmp_path: Path) -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])(b"w")
        return body

    call(AccessLog(str(tmp_path / "log"), format="json")(application))
    assert json.loads(lines(tmp_path)[0])["bytes"] == counted + 1


def test_a_failure_before_the_head_is_a_500(tmp_path: Path) -> None:
    def application(_environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
        raise LookupError

    call(AccessLog(str(tmp_path / "log"), format="json")(application))
    assert json.loads(lines(tmp_path)[0])["status"] == 500


def test_path_is_the_one_asked_for_even_if_it_is_moved_inside(tmp_path: Path) -> None:
    def mounted(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = "/api", "/x"
        start_response("200 OK", [])
        return []

    call(AccessLog(str(tmp_path / "log"), format="json")(mounted), make_environ("/api/x"))
    assert json.loads(lines(tmp_path)[0])["path"] == "/api/x"


def test_a_file_that_was_moved_away_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "LOOK_EVERY_S", 0.0)
    application = AccessLog(str(tmp_path / "log"))(answering(b""))
    call(application)
    os.rename(tmp_path / "log", tmp_path / "log.1")
    call(application)
    assert len(lines(tmp_path)) == 1
    assert len((tmp_path / "log.1").read_text().splitlines()) == 1


def test_a_file_that_cannot_be_opened_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"cannot open the access log .*/none/log: No such file"):
        AccessLog(str(tmp_path / "none" / "log"))(answering(b""))


def test_standard_output_gets_lines_too(capfd: pytest.CaptureFixture[str]) -> None:
    call(AccessLog()(answering(b"")))
    assert " 200 0 " in capfd.readouterr().out
