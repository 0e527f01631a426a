"""PEP 3333, Optional Platform-Specific File Handling: what read() would give is sent, and no more."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from tests.apps import GET, PLAIN
from tests.raw_client import Client, ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from tests.apps import Serve

CONTENT = bytes(range(256)) * 1200 + b"the end"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of about 300 KB."""
    file = tmp_path / "content"
    file.write_bytes(CONTENT)
    return file


class Counting:
    """Only read() and close(), and how often each was called."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)
        self.sizes: list[int] = []
        self.close_count = 0

    def read(self, size: int) -> bytes:
        self.sizes.append(size)
        return self._file.read(size)

    def close(self) -> None:
        self.close_count += 1


def sending(
    open_file: Callable[[], Any],
    *,
    fields: Iterable[tuple[str, str]] = (),
    block_size: int | None = None,
    status: str = "200 OK",
) -> WSGIApplication:
    """An application that returns wsgi.file_wrapper over a file."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, list(fields))
        arguments = () if block_size is None else (block_size,)
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](open_file(), *arguments)
        return wrapped

    return application


def opened_at(path: Path, position: int) -> Callable[[], IO[bytes]]:
    """Opens the file and moves to the position."""

    def open_file() -> IO[bytes]:
        file = path.open("rb")
        file.seek(position)
        return file

    return open_file


def twice(serve: Serve, application: WSGIApplication, request: bytes = GET) -> bytes:
    """The body of an answer, asked for twice on one connection to see that it ends where it should."""
    with Client(serve(application).address) as client:
        first, second = client.ask(request), client.ask(request)
    assert first.body == second.body
    assert first.framing == second.framing
    return first.body


@pytest.mark.parametrize("position", [0, 1, 299_999, len(CONTENT), len(CONTENT) + 10])
def test_transmission_begins_at_the_position_of_the_file(serve: Serve, path: Path, position: int) -> None:
    assert twice(serve, sending(opened_at(path, position))) == CONTENT[position:]


def test_length_is_that_of_the_file_when_none_is_given(serve: Serve, path: Path) -> None:
    answer = ask(serve(sending(opened_at(path, 7))).address, GET)
    assert int(answer.head.field("Content-Length")) == len(CONTENT) - 7


@pytest.mark.parametrize("length", [0, 1, 20, len(CONTENT) - 5])
def test_no_more_is_sent_than_content_length_says(serve: Serve, path: Path, length: int) -> None:
    fields = [("Content-Length", str(length))]
    assert twice(serve, sending(opened_at(path, 5), fields=fields)) == CONTENT[5 : 5 + length]


def test_file_shorter_than_content_length_aborts(
    serve: Serve, path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    served = serve(sending(opened_at(path, 0), fields=[("Content-Length", str(len(CONTENT) + 1))]))
    with Client(served.address) as client:
        client.send(GET)
        client.read_to_reset()
    served.stop()
    assert "shorter than Content-Length" in capfd.readouterr().err


@pytest.mark.parametrize("request_bytes", [GET, b"GET / HTTP/1.0\r\n\r\n"])
def test_file_is_sent_on_both_versions(serve: Serve, path: Path, request_bytes: bytes) -> None:
    answer = ask(serve(sending(opened_at(path, 0))).address, request_bytes)
    assert (answer.framing, answer.body) == ("length", CONTENT)


def test_empty_file_is_an_empty_answer(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert twice(serve, sending(opened_at(tmp_path / "empty", 0))) == b""


def test_file_larger_than_any_buffer_arrives_whole(serve: Serve, tmp_path: Path) -> None:
    content = os.urandom(1024) * 9000
    (tmp_path / "large").write_bytes(content)
    assert twice(serve, sending(opened_at(tmp_path / "large", 0))) == content


def test_file_that_is_only_in_memory_is_read(serve: Serve) -> None:
    assert twice(serve, sending(lambda: io.BytesIO(CONTENT))) == CONTENT


def test_file_like_is_read_in_blocks_and_closed_once(serve: Serve) -> None:
    file = Counting(b"x" * 100)
    served = serve(sending(lambda: file, block_size=30))
    assert ask(served.address, GET).body == b"x" * 100
    served.stop()
    assert file.sizes == [30] * 5
    assert file.close_count == 1


def test_file_like_without_close_is_sent(serve: Serve) -> None:
    class Endless:
        def __init__(self) -> None:
            self.left = [b"a", b"b", b""]

        def read(self, _size: int) -> bytes:
            return self.left.pop(0)

    assert ask(serve(sending(Endless)).address, GET).body == b"ab"


def test_compressed_file_gives_what_read_gives_and_not_its_bytes_on_disk(
    serve: Serve, tmp_path: Path
) -> None:
    with gzip.open(tmp_path / "x.gz", "wb") as file:
        file.write(CONTENT)
    assert twice(serve, sending(partial(gzip.open, tmp_path / "x.gz", "rb"))) == CONTENT


@pytest.mark.parametrize("kind", ["TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile"])
def test_temporary_file_that_was_just_written_is_sent(serve: Serve, kind: str) -> None:
    def open_file() -> Any:
        file = getattr(tempfile, kind)()
        file.write(b"skipped" + CONTENT)
        file.seek(7)
        return file

    assert twice(serve, sending(open_file)) == CONTENT


def test_bytes_still_in_the_buffer_of_a_file_are_sent(serve: Serve, tmp_path: Path) -> None:
    def open_file() -> IO[bytes]:
        file = (tmp_path / "both").open("w+b")
        file.write(b"0123456789")
        file.seek(0)
        file.read(2)
        return file

    assert twice(serve, sending(open_file)) == b"23456789"


def test_buffered_reader_that_was_read_from_goes_on_where_it_was(serve: Serve, path: Path) -> None:
    def open_file() -> IO[bytes]:
        file = path.open("rb")
        assert file.read(10) == CONTENT[:10]  # the buffer has read far ahead of this
        return file

    assert twice(serve, sending(open_file)) == CONTENT[10:]


def test_pipe_is_read_to_its_end(serve: Serve) -> None:
    def open_file() -> IO[bytes]:
        reader, writer = os.pipe()
        os.write(writer, b"through a pipe")
        os.close(writer)
        return os.fdopen(reader, "rb")

    assert twice(serve, sending(open_file)) == b"through a pipe"


def test_file_opened_for_texts_is_answered_500(serve: Serve, path: Path) -> None:
    path.write_text("text")
    assert ask(serve(sending(lambda: path.open("r"))).address, GET).status == 500


def test_closed_file_is_answered_500(serve: Serve, path: Path) -> None:
    file = path.open("rb")
    file.close()
    assert ask(serve(sending(lambda: file)).address, GET).status == 500


def test_write_comes_before_the_file(serve: Serve, path: Path) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)(b"before ")
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](path.open("rb"))
        return wrapped

    assert twice(serve, application) == b"before " + CONTENT


def test_middleware_may_iterate_over_the_wrapper(serve: Serve, path: Path) -> None:
    inner = sending(lambda: path.open("rb"), block_size=1000)

    def middleware(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with closing(inner(environ, start_response)) as blocks:  # type: ignore[type-var]
            for block in blocks:
                assert len(block) <= 1000
                yield block.upper()

    assert twice(serve, middleware) == CONTENT.upper()


def test_wrapper_is_a_class_that_frameworks_can_recognize(serve: Serve, path: Path) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        wrapper = environ["wsgi.file_wrapper"]
        start_response("200 OK", PLAIN)
        wrapped = wrapper(path.open("rb"), 4096)
        assert isinstance(wrapped, wrapper)  # frameworks ask this to see whether they may set a length
        assert iter(wrapped) is not None
        chunks: Iterable[bytes] = wrapped
        return chunks

    assert twice(serve, application) == CONTENT


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [(GET, "204 No Content"), (GET, "304 Not Modified"), (b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK")],
)
def test_file_is_closed_and_not_sent_where_no_body_may_be(
    serve: Serve, path: Path, request_bytes: bytes, status: str
) -> None:
    files: list[IO[bytes]] = []

    def open_file() -> IO[bytes]:
        files.append(path.open("rb"))
        return files[-1]

    served = serve(sending(open_file, status=status))
    with Client(served.address) as client:
        assert [client.ask(request_bytes).body for _ in range(2)] == [b""] * 2
    served.stop()
    assert [file.closed for file in files] == [True, True]


def test_file_is_closed_after_it_was_sent(serve: Serve, path: Path) -> None:
    files: list[IO[bytes]] = []

    def open_file() -> IO[bytes]:
        files.append(path.open("rb"))
        return files[-1]

    served = serve(sending(open_file))
    assert ask(served.address, GET).body == CONTENT
    served.stop()
    assert files[0].closed
