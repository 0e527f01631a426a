"""MaxBody and Timeout: how much a request may send, and by when it must be done."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

import pytest

from barkeep.middleware.max_body import BodyTooLarge, MaxBody
from barkeep.middleware.timeout import Timeout, seconds_left
from tests.middleware_cases import Case, call, check_both_sides, each_case, make_environ

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


@each_case
def test_max_body_is_valid_on_both_sides(case: Case) -> None:
    check_both_sides(MaxBody("1KiB"), case)
    check_both_sides(MaxBody("1KiB"), case, HTTP_TRANSFER_ENCODING="chunked")


@each_case
def test_timeout_is_valid_on_both_sides(case: Case) -> None:
    check_both_sides(Timeout("5s"), case)


def echo(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [])
    return [body]


def late_echo(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    body = b"".join(environ["wsgi.input"])
    start_response("200 OK", [])
    yield body


def reads_after_its_head(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    yield b"begun"
    yield environ["wsgi.input"].readline()


def chunked(body: bytes, path: str = "/") -> WSGIEnvironment:
    """As a server gives a body without a length, which ends by itself."""
    environ = make_environ(path, "POST", HTTP_TRANSFER_ENCODING="chunked")
    environ["wsgi.input"] = io.BytesIO(body)
    environ["wsgi.input_terminated"] = True
    return environ


def test_a_declared_length_above_the_limit_is_refused_before_it_is_read() -> None:
    environ = make_environ("/", "POST", b"12345")
    answer = call(MaxBody(4)(echo), environ)
    assert answer.status == "413 Content Too Large"
    assert environ["wsgi.input"].tell() == 0
    assert call(MaxBody(5)(echo), make_environ("/", "POST", b"12345")).body == b"12345"


@pytest.mark.parametrize("length", ["9" * 5000, "5"])
def test_absurd_lengths_are_too_large(length: str) -> None:
    assert call(MaxBody(4)(echo), make_environ(CONTENT_LENGTH=length)).status[:3] == "413"


@pytest.mark.parametrize("length", ["+5", "-1", "0x10", "\u0663"])
def test_lengths_that_are_no_numbers_are_refused(length: str) -> None:
    assert call(MaxBody(4)(echo), make_environ(CONTENT_LENGTH=length)).status[:3] == "400"


@pytest.mark.parametrize("application", [echo, late_echo])
def test_a_body_without_a_length_is_counted_while_it_is_read(application: WSGIApplication) -> None:
    assert call(MaxBody(5)(application), chunked(b"12345")).body == b"12345"
    assert call(MaxBody(4)(application), chunked(b"12345")).status == "413 Content Too Large"


def test_after_the_head_the_error_is_the_servers() -> None:
    answer = call(MaxBody(4)(reads_after_its_head), chunked(b"12345"))
    assert answer.body == b"begun"
    assert type(answer.error) is BodyTooLarge


def test_counted_input_reads_as_the_stream_does() -> None:
    text = b"one\ntwo\nthree"
    seen: list[object] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        stream = environ["wsgi.input"]
        seen.extend(
            [stream.read(2), stream.readline(), stream.readlines(1), stream.read(None), stream.read()]
        )
        start_response("200 OK", [])
        return []

    call(MaxBody(100)(application), chunked(text))
    twin = io.BytesIO(text)
    assert seen == [twin.read(2), twin.readline(), twin.readlines(1), twin.read(None), twin.read()]


def test_the_limit_of_the_longest_prefix_counts() -> None:
    piece = MaxBody(1, limit_for={"/upload": "1KiB", "/upload/tiny": 2})
    statuses = {
        path: call(piece(echo), make_environ(path, "POST", b"123")).status[:3]
        for path in ("/", "/upload", "/upload/x", "/uploads", "/upload/tiny")
    }
    assert statuses == {
        "/": "413",
        "/upload": "200",
        "/upload/x": "200",
        "/uploads": "413",
        "/upload/tiny": "413",
    }


def deadline(piece: Timeout, **environ: object) -> float:
    seen: list[float] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        seen.append(environ["barkeep.deadline"])
        start_response("200 OK", [])
        return []

    call(piece(application), {**make_environ(), **environ})
    return seen[0]


def test_the_deadline_is_that_much_from_now() -> None:
    before = time.monotonic()
    found = deadline(Timeout("100s"))
    assert before + 100 <= found <= time.monotonic() + 100


def test_the_servers_earlier_deadline_stays_and_a_later_one_is_brought_forward() -> None:
    assert deadline(Timeout("1h"), **{"barkeep.deadline": 5.0}) == 5.0
    far = time.monotonic() + 10_000
    assert deadline(Timeout("1h"), **{"barkeep.deadline": far}) < far


def test_the_time_of_the_longest_prefix_counts() -> None:
    piece = Timeout("1h", limit_for="/reports=2h,/reports/all=3h")
    now = time.monotonic()
    hours = [
        int((deadline(piece, PATH_INFO=path) - now) / 3600) for path in ("/", "/reports", "/reports/all/x")
    ]
    assert hours == [1, 2, 3]


def test_seconds_left_are_never_negative() -> None:
    assert seconds_left({}) is None
    assert seconds_left({"barkeep.deadline": 0.0}) == 0.0
    assert seconds_left({"barkeep.deadline": time.monotonic() + 100}) > 0  # type: ignore[operator]
