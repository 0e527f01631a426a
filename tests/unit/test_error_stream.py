"""error_stream.py: what applications write becomes whole log lines."""

from __future__ import annotations

import sys
import threading
from typing import cast

import pytest

from barkeep.error_stream import ErrorStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from barkeep._engine import Engine


class FakeEngine:
    """Takes lines as the engine does."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def log(self, level: str, text: str) -> None:
        self.lines.append((level, text))


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def errors(engine: FakeEngine) -> ErrorStream:
    return ErrorStream(cast("Engine", engine))


def test_line_is_logged_when_it_ends(engine: FakeEngine, errors: ErrorStream) -> None:
    errors.write("be")
    errors.write("gun")
    assert engine.lines == []
    errors.write("\nnext")
    assert engine.lines == [("error", "begun")]


def test_each_line_of_a_text_is_an_event(engine: FakeEngine, errors: ErrorStream) -> None:
    errors.write("one\n\ntwo\n")
    assert engine.lines == [("error", "one"), ("error", ""), ("error", "two")]


def test_flush_logs_the_line_that_was_begun_once(engine: FakeEngine, errors: ErrorStream) -> None:
    errors.write("begun")
    assert errors.unfinished
    errors.flush()
    errors.flush()
    assert engine.lines == [("error", "begun")]
    assert not errors.unfinished


def test_write_tells_the_number_of_characters_as_files_do(errors: ErrorStream) -> None:
    assert errors.write("näh\n") == 4


def test_writelines_adds_no_line_ends(engine: FakeEngine, errors: ErrorStream) -> None:
    errors.writelines(["o", "ne\n", "two\n"])
    assert engine.lines == [("error", "one"), ("error", "two")]


@pytest.mark.parametrize("text", [b"bytes\n", None, 1])
def test_what_is_no_text_is_refused(engine: FakeEngine, errors: ErrorStream, text: object) -> None:
    with pytest.raises(TypeError, match=r"wsgi\.errors takes str"):
        errors.write(text)  # type: ignore[arg-type]
    assert engine.lines == []


def test_print_and_logging_handlers_can_write_to_it(engine: FakeEngine, errors: ErrorStream) -> None:
    print("one", 2, file=errors, flush=True)
    assert engine.lines == [("error", "one 2")]


def test_line_without_an_end_is_logged_in_pieces(engine: FakeEngine, errors: ErrorStream) -> None:
    for _ in range(10):
        errors.write("x" * 10_000)
    assert engine.lines == [("error", "x" * 70_000)]
    assert len(errors.unfinished) == 30_000


def test_text_of_several_threads_is_not_lost(engine: FakeEngine, errors: ErrorStream) -> None:
    def write() -> None:
        for _ in range(2_000):
            errors.write("x")

    before_s = sys.getswitchinterval()
    # Python changes threads as often as it can.
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before_s)
    errors.flush()
    assert sum(len(text) for _level, text in engine.lines) == 8_000
