"""--lint: the application is served as ever, and what it does wrong is in the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.apps import GET, Served
from tests.raw_client import ask

PLAIN = ("Content-Type", "text/plain")


def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [PLAIN, ("X-Padded", "padded ")])
    yield b"hello"


def good_application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    environ["wsgi.input"].read()
    start_response("200 OK", [PLAIN])
    return [b"hello"]


def test_finding_is_one_line_of_the_log_and_the_answer_is_whole(capfd: pytest.CaptureFixture[str]) -> None:
    served = Served(application, lint=True)
    answers = [ask(served.address, GET) for _ in range(3)]
    served.stop()
    assert [answer.body for answer in answers] == [b"hello"] * 3
    [line] = [line for line in capfd.readouterr().err.splitlines() if "lint: " in line]
    assert "lint: BK113 warning: a header value has white space at its ends" in line
    assert Path(__file__).name in line


def test_barkeep_itself_keeps_the_rules_of_a_server(capfd: pytest.CaptureFixture[str]) -> None:
    posted = b"POST /a%20b?c HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
    served = Served(good_application, lint=True)
    assert ask(served.address, posted).body == b"hello"
    served.stop()
    assert "lint: " not in capfd.readouterr().err


def test_one_chunk_keeps_its_length() -> None:
    served = Served(good_application, lint=True)
    answer = ask(served.address, GET)
    served.stop()
    assert answer.head.field("Content-Length") == "5"
