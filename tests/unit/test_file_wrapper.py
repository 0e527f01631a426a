"""file_wrapper.py: plain files go to the engine from where they stand, all else is read in blocks."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from barkeep.file_wrapper import FileWrapper, send_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from barkeep._engine import Exchange

CONTENT = b"0123456789"


class FakeExchange:
    """Remembers what it was asked to send."""

    def __init__(self, head_is_sent: bool = False) -> None:
        self.head_is_sent = head_is_sent
        self.sent: list[tuple[int, int]] = []

    def send_file(self, _descriptor: int, offset: int, available: int) -> None:
        self.sent.append((offset, available))


def send(file: Any, exchange: FakeExchange) -> bool:
    """Hand over a file-like object."""
    return send_file(cast("Exchange", exchange), FileWrapper(file))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "file"
    made.write_bytes(CONTENT)
    return made


@pytest.fixture
def pipe() -> Iterator[io.BufferedReader]:
    reader, writer = os.pipe()
    os.close(writer)
    with open(reader, "rb") as opened:
        yield opened


def test_iteration_gives_blocks_of_the_size_and_nothing_after_the_end() -> None:
    wrapper = FileWrapper(io.BytesIO(CONTENT), 4)
    assert list(wrapper) == [b"0123", b"4567", b"89"]
    assert list(wrapper) == []


def test_close_is_that_of_the_file() -> None:
    file = io.BytesIO(CONTENT)
    FileWrapper(file).close()
    assert file.closed


def test_file_without_close_gives_a_wrapper_without_one() -> None:
    class OnlyRead:
        def read(self, _size: int) -> bytes:
            return b""

    assert not hasattr(FileWrapper(OnlyRead()), "close")


def test_plain_file_is_handed_over_whole(path: Path) -> None:
    exchange = FakeExchange()
    with path.open("rb") as file:
        assert send(file, exchange)
    assert exchange.sent == [(0, 10)]


def test_plain_file_is_handed_over_from_its_position(path: Path) -> None:
    exchange = FakeExchange()
    with path.open("rb") as file:
        # Read ahead by the buffer: the descriptor itself stands at the end.
        file.read(3)
        assert send(file, exchange)
    assert exchange.sent == [(3, 7)]


def test_position_behind_the_end_leaves_nothing_to_send(path: Path) -> None:
    exchange = FakeExchange()
    with path.open("rb") as file:
        file.seek(100)
        assert send(file, exchange)
    assert exchange.sent == [(100, 0)]


def test_unbuffered_file_is_handed_over(path: Path) -> None:
    exchange = FakeExchange()
    with path.open("rb", buffering=0) as file:
        assert send(file, exchange)
    assert exchange.sent == [(0, 10)]


def test_what_was_written_to_a_temporary_file_is_flushed_before() -> None:
    exchange = FakeExchange()
    with tempfile.NamedTemporaryFile() as file:
        file.write(CONTENT)
        file.seek(2)
        assert send(file, exchange)
        assert os.stat(file.name).st_size == 10
    assert exchange.sent == [(2, 8)]


def test_compressed_file_is_read_not_handed_over(tmp_path: Path) -> None:
    exchange = FakeExchange()
    with gzip.open(tmp_path / "packed", "wb") as packed:
        packed.write(CONTENT)
    with gzip.open(tmp_path / "packed", "rb") as file:
        assert not send(file, exchange)
        assert b"".join(FileWrapper(file)) == CONTENT
    assert exchange.sent == []


@pytest.mark.parametrize("file", [io.BytesIO(CONTENT), object()])
def test_what_has_no_descriptor_is_not_handed_over(file: object) -> None:
    exchange = FakeExchange()
    assert not send(file, exchange)
    assert exchange.sent == []


def test_pipe_is_read_not_handed_over(pipe: io.BufferedReader) -> None:
    assert not send(pipe, FakeExchange())


def test_closed_file_is_not_handed_over(path: Path) -> None:
    with path.open("rb") as file:
        pass
    assert not send(file, FakeExchange())


def test_subclass_may_read_otherwise_and_is_not_handed_over(path: Path) -> None:
    class Shouting(io.FileIO):
        pass

    with Shouting(path) as file:
        assert not send(file, FakeExchange())


def test_file_behind_what_was_written_already_is_read(path: Path) -> None:
    with path.open("rb") as file:
        assert not send(file, FakeExchange(head_is_sent=True))
