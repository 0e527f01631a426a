"""The fakes do what they say, so that a test that uses them shows the fault of what is tested."""

from __future__ import annotations

import sys

import pytest

from barkeep.testing import ClosingIterable, StartResponse

PLAIN = [("Content-Type", "text/plain")]


def test_start_response_keeps_calls_and_what_is_written() -> None:
    start = StartResponse()
    start("200 OK", PLAIN)(b"written")
    start("500 Oops", [])
    assert [status for status, _headers, _exc_info in start.calls] == ["200 OK", "500 Oops"]
    assert (start.status, start.headers, start.written) == ("500 Oops", [], [b"written"])


def test_start_response_raises_again_as_if_the_head_were_out() -> None:
    start = StartResponse(raise_again=True)
    start("200 OK", PLAIN)
    try:
        int("x")
    except ValueError:
        with pytest.raises(ValueError, match="invalid literal"):
            start("500 Oops", PLAIN, sys.exc_info())
    assert start.status == "200 OK"


def test_iterable_counts_what_is_taken_and_closed() -> None:
    body = ClosingIterable([b"one", b"two", ValueError("three")])
    iterator = iter(body)
    assert (next(iterator), body.taken) == (b"one", 1)
    with pytest.raises(ValueError, match="three"):
        list(iterator)
    body.close()
    assert (body.taken, body.close_count) == (3, 1)


def test_iterable_may_fail_to_close() -> None:
    body = ClosingIterable([], close_error=OSError("lost"))
    with pytest.raises(OSError, match="lost"):
        body.close()
    assert body.close_count == 1
