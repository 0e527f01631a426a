"""process_log.py: lines in the engine's format, that never wait, and say how many were lost."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

from barkeep.process_log import ProcessLog

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \[\d+\] (\w+): (.*)")


class Pipe:
    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def read(self) -> str:
        return os.read(self.reader, 1 << 20).decode()

    def fill(self) -> None:
        os.set_blocking(self.writer, False)
        try:
            while True:
                os.write(self.writer, b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(self.writer, True)

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def test_line_has_time_process_level_and_text(pipe: Pipe) -> None:
    ProcessLog("info", pipe.writer).info("generation 2 serves")
    line = pipe.read()
    found = LINE.fullmatch(line.rstrip("\n"))
    assert found is not None
    assert found.groups() == ("info", "generation 2 serves")
    assert f"[{os.getpid()}]" in line


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_level_is_the_least_that_is_written(pipe: Pipe, level: str, written: list[str]) -> None:
    log = ProcessLog(level, pipe.writer)
    for call in (log.debug, log.info, log.warning, log.error):
        call("text")
    lines = pipe.read().splitlines()
    assert [LINE.fullmatch(line)[1] for line in lines] == written  # type: ignore[index]


def test_lines_of_one_event_stay_together(pipe: Pipe) -> None:
    ProcessLog("info", pipe.writer).error("reload failed\nTraceback\n  File")
    assert pipe.read().endswith("error: reload failed\nTraceback\n  File\n")


def test_fault_of_our_own_is_told_with_its_traceback(pipe: Pipe) -> None:
    try:
        int("missing")
    except ValueError as error:
        ProcessLog("info", pipe.writer).fault(error)
    text = pipe.read()
    assert "this is a bug in barkeep" in text
    assert "ValueError: invalid literal" in text
    assert 'int("missing")' in text


def test_full_pipe_holds_nobody_up_and_the_loss_is_told(pipe: Pipe) -> None:
    log = ProcessLog("info", pipe.writer)
    pipe.fill()
    log.info("lost")
    log.info("lost too")
    pipe.read()
    log.info("heard")
    log.info("and from now on")
    first, second = pipe.read().splitlines()
    assert first.endswith("heard (2 lines before this were lost)")
    assert second.endswith("and from now on")


def test_log_that_nobody_reads_any_more_holds_nobody_up() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ProcessLog("info", writer).info("to nobody")
    os.close(writer)
    ProcessLog("info", writer).info("to no descriptor")


def test_text_that_is_no_unicode_is_written_escaped(pipe: Pipe) -> None:
    ProcessLog("info", pipe.writer).info("path \udcff")
    assert pipe.read().endswith("path \\udcff\n")
