"""What every middleware is tried on: applications of every form, between two wsgiref.validate, without a
server.

`check_both_sides(piece, case)` plays one case through a piece; `call` plays any application and gives its
answer.
"""

from __future__ import annotations

import gzip
import io
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from barkeep.middleware.registry import Piece

    Make = Callable[[], "tuple[WSGIApplication, list[Tracked]]"]

# Without types of their own.
brotli: Any = import_module("brotli")
zstandard: Any = import_module("zstandard")

PLAIN = ("Content-Type", "text/plain")


class Answer(NamedTuple):
    """What a server saw. chunks: each bytes of write() and of the iterable, in order, empty ones too."""

    status: str
    headers: list[tuple[str, str]]
    chunks: list[bytes]
    error: BaseException | None = None

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    def field(self, name: str) -> str | None:
        """The values of a field, joined; None without it."""
        values = [value for found, value in self.headers if found.lower() == name.lower()]
        return ", ".join(values) if values else None


def decoded(answer: Answer) -> Any:
    """The body of an answer without its content coding."""
    coding = answer.field("Content-Encoding")
    if not answer.body or coding in (None, "identity"):
        return answer.body
    if coding == "gzip":
        return gzip.decompress(answer.body)
    if coding == "br":
        return brotli.decompress(answer.body)
    assert coding == "zstd"
    return zstandard.ZstdDecompressor().decompressobj().decompress(answer.body)


class Tracked:
    """An iterable that counts how often it is closed. Each chunk that is an exception is raised."""

    def __init__(self, chunks: Iterable[bytes | BaseException]) -> None:
        self.chunks = iter(chunks)
        self.close_count = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self.chunks)
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk

    def close(self) -> None:
        self.close_count += 1


class Case(NamedTuple):
    """One form of answer. make: a fresh application, and the iterables whose close() counts."""

    name: str
    make: Make
    status: str = "200 OK"
    body: bytes = b""
    method: str = "GET"
    error: type[BaseException] | None = None
    take_chunks: int | None = None

    def __str__(self) -> str:
        return self.name


def make_environ(
    path: str = "/", method: str = "GET", body: bytes = b"", **others: object
) -> WSGIEnvironment:
    """A complete environ; `others` such as HTTP_ACCEPT_ENCODING="gzip"."""
    environ: WSGIEnvironment = {
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "REQUEST_METHOD": method,
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "wsgi.input": io.BytesIO(body),
        "wsgi.file_wrapper": FileWrapper,
    }
    if body:
        environ["CONTENT_LENGTH"] = str(len(body))
    setup_testing_defaults(environ)
    environ.update(others)
    return environ


def call(
    application: WSGIApplication, environ: WSGIEnvironment | None = None, take_chunks: int | None = None
) -> Answer:
    """Be a server: play one request and close the iterable. Errors of the application are in the answer.

    take_chunks: the client goes away after so many chunks.
    """
    heads: list[tuple[str, list[tuple[str, str]]]] = []
    chunks: list[bytes] = []
    error: BaseException | None = None

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: object = None
    ) -> Callable[[bytes], object]:
        if exc_info is not None and any(chunks):
            raise exc_info[1]  # type: ignore[index]
        assert exc_info is not None or not heads, "start_response was called twice"
        heads.append((status, list(headers)))
        return chunks.append

    iterable = None
    try:
        iterable = application(make_environ() if environ is None else environ, start_response)
        if take_chunks is None:
            for chunk in iterable:
                assert heads or not chunk, "a chunk came before the head"
                chunks.append(chunk)
        else:
            iterator = iter(iterable)
            chunks += [next(iterator) for _ in range(take_chunks)]
    except BaseException as raised:
        error = raised
    finally:
        close = getattr(iterable, "close", None)
        if close is not None:
            close()
    status, headers = heads[-1] if heads else ("", [])
    return Answer(status, headers, chunks, error)


def check_both_sides(
    piece: Piece,
    case: Case,
    decode: Callable[[Answer], bytes] = lambda answer: answer.body,
    **environ: object,
) -> list[Answer]:
    """Play a case through a piece: status and body arrive, close() is called once, wsgiref.validate is
    silent.

    Once with the validator on the server's side only, so that lists and files arrive as they are, and once
    with one on both sides. decode: the body from the answer, for pieces that encode it.
    """
    answers = []
    for is_inner_checked in (False, True):
        application, tracked = case.make()
        inner = validator(application) if is_inner_checked else application
        found = {**make_environ(method=case.method), **environ}
        answer = call(validator(piece(inner)), found, case.take_chunks)
        if case.error is None:
            if answer.error is not None:
                raise answer.error
            assert answer.status == case.status
            if case.take_chunks is None:
                assert decode(answer) == case.body
        else:
            assert type(answer.error) is case.error, answer.error
        assert [iterable.close_count for iterable in tracked] == [1] * len(tracked)
        answers.append(answer)
    return answers


def _simple(body: list[bytes], status: str = "200 OK", *headers: tuple[str, str]) -> Make:
    def make() -> tuple[WSGIApplication, list[Tracked]]:
        def application(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
            start_response(status, [*headers])
            return list(body)

        return application, []

    return make


def _tracked(*chunks: bytes | BaseException) -> Make:
    def make() -> tuple[WSGIApplication, list[Tracked]]:
        iterable = Tracked(chunks)

        def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            start_response("200 OK", [PLAIN])
            return iterable

        return application, [iterable]

    return make


def _lazy() -> tuple[WSGIApplication, list[Tracked]]:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [PLAIN])
        yield b"first "
        yield b""
        yield b"second"

    return application, []


def _lazy_empty() -> tuple[WSGIApplication, list[Tracked]]:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [PLAIN])
        yield from ()

    return application, []


def _write() -> tuple[WSGIApplication, list[Tracked]]:
    iterable = Tracked([b"then iterated"])

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [PLAIN])
        write(b"written ")
        write(b"twice ")
        return iterable

    return application, [iterable]


def _write_only() -> tuple[WSGIApplication, list[Tracked]]:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [PLAIN])(b"written")
        return []

    return application, []


def _replaced_head() -> tuple[WSGIApplication, list[Tracked]]:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [PLAIN])
        try:
            raise LookupError("before a byte was sent")  # noqa: TRY301
        except LookupError:
            start_response("500 Internal Server Error", [PLAIN], sys.exc_info())
        return [b"an error page"]

    return application, []


def _late_error() -> tuple[WSGIApplication, list[Tracked]]:
    """After a chunk, start_response with exc_info must raise what it is given."""

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [PLAIN])
        yield b"sent"
        try:
            raise LookupError("after a byte was sent")  # noqa: TRY301
        except LookupError:
            start_response("500 Internal Server Error", [PLAIN], sys.exc_info())
        yield b"never sent"

    return application, []


def _raises() -> tuple[WSGIApplication, list[Tracked]]:
    def application(_environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
        raise LookupError("before the head")

    return application, []


def _file() -> tuple[WSGIApplication, list[Tracked]]:
    file = Tracked([])
    content = io.BytesIO(b"the file")
    file.read = content.read  # type: ignore[attr-defined]

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [PLAIN])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
        return wrapped

    return application, [file]


CASES = [
    Case("empty list", _simple([], "200 OK", PLAIN)),
    Case("list of one", _simple([b"one chunk"], "200 OK", PLAIN), body=b"one chunk"),
    Case("list of three", _simple([b"a", b"", b"c"], "200 OK", PLAIN), body=b"ac"),
    Case("iterable", _tracked(b"one ", b"", b"two"), body=b"one two"),
    Case("empty iterable", _tracked()),
    Case("generator that starts late", _lazy, body=b"first second"),
    Case("empty generator", _lazy_empty),
    Case("write and iterate", _write, body=b"written twice then iterated"),
    Case("write only", _write_only, body=b"written"),
    Case("HEAD", _simple([], "200 OK", PLAIN, ("Content-Length", "9")), method="HEAD"),
    Case("204", _simple([], "204 No Content"), status="204 No Content"),
    Case("304", _simple([], "304 Not Modified", ("ETag", '"x"')), status="304 Not Modified"),
    Case(
        "206",
        _simple([b"part"], "206 Partial Content", PLAIN, ("Content-Range", "bytes 0-3/10")),
        status="206 Partial Content",
        body=b"part",
    ),
    Case("file wrapper", _file, body=b"the file"),
    Case("replaced head", _replaced_head, status="500 Internal Server Error", body=b"an error page"),
    Case("error before the head", _raises, error=LookupError),
    Case("error after a chunk", _tracked(b"sent", LookupError("late")), error=LookupError),
    Case("start_response after a chunk", _late_error, error=LookupError),
    Case("client gone", _tracked(b"sent", b"never asked for"), take_chunks=1),
]

# For a test that plays every case: `@each_case def test_...(case: Case)`.
each_case = pytest.mark.parametrize("case", CASES, ids=str)
