"""The tools for answers: bodies through a filter, heads changed, the end of an answer told once."""

from __future__ import annotations

import io
import sys
import traceback
from typing import TYPE_CHECKING
from wsgiref.util import FileWrapper

import pytest

from barkeep.middleware.access_log import AccessLog
from barkeep.middleware.base import Middleware
from barkeep.middleware.max_body import MaxBody
from barkeep.middleware.response import answer_text, changed_head, filter_body, when_closed
from barkeep.middleware.security_headers import SecurityHeaders
from tests.middleware_cases import CASES, Case, Tracked, call, check_both_sides, each_case, make_environ

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from barkeep.middleware.fields import Headers
    from barkeep.middleware.response import BodyFilter


class Upper:
    """A filter for tests: it changes every chunk, and adds one at the end."""

    def chunk(self, data: bytes) -> bytes:
        return data.upper()

    def end(self) -> bytes:
        return b"!"


class Uppercase(Middleware):
    """Bodies through Upper, but for those without a body."""

    def wrap(self, application: WSGIApplication, /) -> WSGIApplication:
        def decide(
            status: str, headers: Headers, _size: int | None
        ) -> tuple[str, Headers, BodyFilter | None]:
            has_body = status[:3] not in ("204", "304", "206")
            return status, headers, Upper() if has_body else None

        def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            return filter_body(application, environ, start_response, decide)

        return wrapped


class Untouched(Middleware):
    """No filter; the head gets a field."""

    def wrap(self, application: WSGIApplication, /) -> WSGIApplication:
        def wrapped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            start = changed_head(
                start_response, lambda status, headers: (status, [*headers, ("X-Seen", "1")])
            )
            return filter_body(
                application, environ, start, lambda status, headers, _size: (status, headers, None)
            )

        return wrapped


def upper_of(case: Case) -> bytes:
    if case.status[:3] in ("204", "304", "206"):
        return case.body
    return case.body.upper() + b"!"


@each_case
def test_filtered_body_is_valid_on_both_sides(case: Case) -> None:
    check_both_sides(Uppercase(), case._replace(body=upper_of(case)))


@each_case
def test_unfiltered_body_is_valid_on_both_sides(case: Case) -> None:
    for answer in check_both_sides(Untouched(), case):
        assert case.error is not None or answer.field("X-Seen") == "1"


def test_body_without_a_filter_is_the_very_object_of_the_application() -> None:
    for body in ([b"one"], (b"one",), FileWrapper(io.BytesIO(b"file")), Tracked([b"one"])):

        def application(
            _environ: WSGIEnvironment, start_response: StartResponse, body: Iterable[bytes] = body
        ) -> Iterable[bytes]:
            start_response("200 OK", [])
            return body

        assert Untouched()(application)(make_environ(), lambda *_: lambda _data: None) is body


def test_filtered_list_gets_the_length_it_has_afterwards() -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        return [b"a", b"b"]

    answer = call(Uppercase()(application))
    assert answer.chunks == [b"AB!"]
    assert answer.headers == [("Content-Length", "3")]


def test_filtered_iterable_loses_its_length() -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        return iter([b"a", b"b"])

    answer = call(Uppercase()(application))
    assert answer.chunks == [b"A", b"B", b"!"]
    assert answer.headers == []


def test_each_chunk_of_a_lazy_application_is_passed_on_before_the_next_is_asked_for() -> None:
    events = []

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        for chunk in (b"a", b"b"):
            events.append(("made", chunk))
            yield chunk

    for chunk in Uppercase()(application)(make_environ(), lambda *_: lambda _data: None):
        events.append(("got", chunk))
    assert events == [("made", b"a"), ("got", b"A"), ("made", b"b"), ("got", b"B"), ("got", b"!")]


def test_second_start_response_reaches_the_server_which_has_the_say() -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        start_response("201 Created", [])
        return []

    answer = call(Uppercase()(application))
    assert str(answer.error) == "start_response was called twice"


def test_iterable_is_closed_when_the_server_refuses_the_head() -> None:
    body = Tracked([b"a"])

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("99 Nope", [])
        return body

    def start_response(*_: object) -> object:
        raise ValueError("no such status")

    try:
        Uppercase()(application)(make_environ(), start_response)  # type: ignore[arg-type]
    except ValueError:
        assert body.close_count == 1
    else:
        raise AssertionError("the server's error was lost")


def test_end_is_told_once_after_close() -> None:
    events: list[str] = []
    body = Tracked([b"a"])
    closing = when_closed(body, make_environ(), lambda: events.append(f"closed {body.close_count}"))
    assert list(closing) == [b"a"]
    assert events == []
    closing.close()  # type: ignore[attr-defined]
    closing.close()  # type: ignore[attr-defined]
    assert events == ["closed 1"]
    assert body.close_count == 1


def test_end_of_a_file_is_told_and_it_stays_a_file_wrapper() -> None:
    events: list[str] = []
    file = io.BytesIO(b"content")
    wrapper = FileWrapper(file)
    told = when_closed(wrapper, make_environ(), lambda: events.append("over"))
    assert told is wrapper
    wrapper.close()
    assert events == ["over"]
    assert file.closed


def test_end_of_a_list_is_told_at_once() -> None:
    events: list[str] = []
    body = [b"a"]
    assert when_closed(body, make_environ(), lambda: events.append("over")) is body
    assert events == ["over"]


def test_own_answer_has_no_body_for_head() -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        return answer_text(environ, start_response, "403 Forbidden", "no", [("X-Why", "test")])

    assert call(application).body == b"no\n"
    head = call(application, make_environ(method="HEAD"))
    assert head.body == b""
    assert head.field("Content-Length") == "3"
    assert head.field("X-Why") == "test"


def test_cases_have_names_of_their_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize(
    "piece",
    [Uppercase(), SecurityHeaders(), AccessLog("/dev/null"), MaxBody(5)],
    ids=lambda piece: type(piece).__name__,
)
def test_a_late_error_is_not_kept_by_the_frames_it_went_through(piece: Middleware) -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"sent"
        try:
            raise LookupError  # noqa: TRY301
        except LookupError:
            start_response("500 Internal Server Error", [], sys.exc_info())

    error = call(piece(application), make_environ(HTTP_TRANSFER_ENCODING="chunked")).error
    assert error is not None
    for frame, _line in traceback.walk_tb(error.__traceback__):
        if "/barkeep/" in frame.f_code.co_filename:
            held = [value for value in frame.f_locals.values() if isinstance(value, tuple) and error in value]
            assert held == [], frame
