"""Refuse request bodies above a size, by path: 413 before they are read where their length is declared."""

from __future__ import annotations

from ..setting_kinds import TIB, size
from .base import Middleware, Option
from .option_kinds import by_prefix
from .response import answer_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any
    from wsgiref.types import InputStream, StartResponse, WSGIApplication, WSGIEnvironment

# More digits than the largest limit has: int() of thousands of them is an error, and slow.
MOST_DIGITS = 18

TOO_LARGE = "413 Content Too Large"


class BodyTooLarge(OSError):
    """The request body is larger than MaxBody allows. Raised by reading `wsgi.input`."""


class MaxBody(Middleware):
    """Refuses larger request bodies with 413.

    A body without a declared length (chunked) is counted while it is read: reading past the limit raises
    BodyTooLarge (an OSError), which is answered with 413 when the application lets it through before its
    head.
    """

    shorthand = "limit"

    limit = Option(size(0, TIB), help="largest request body")
    limit_for = Option(
        by_prefix("paths with sizes, such as /upload=1GiB", size(0, TIB), "PATH=SIZE"), default=(),
        help="the same for paths below a prefix; the longest prefix counts",
    )  # fmt: skip

    def wrap(self, application: WSGIApplication, /) -> WSGIApplication:
        default_bytes, limits = self.limit, self.limit_for

        def bounded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            length = environ.get("CONTENT_LENGTH")
            if not length and "HTTP_TRANSFER_ENCODING" not in environ:
                return application(environ, start_response)
            limit_bytes = default_bytes
            if limits:
                path = environ.get("PATH_INFO", "") + "/"
                limit_bytes = next(
                    (n for prefix, n in limits if path.startswith(f"{prefix}/")), default_bytes
                )
            if not length:
                return _counted(application, environ, start_response, limit_bytes)
            if not (length.isascii() and length.isdigit()):
                return answer_text(
                    environ, start_response, "400 Bad Request", "Content-Length must be a whole number."
                )
            if len(length) > MOST_DIGITS or int(length) > limit_bytes:
                return _refuse(environ, start_response, limit_bytes)
            return application(environ, start_response)

        return bounded


def _refuse(environ: WSGIEnvironment, start_response: StartResponse, limit_bytes: int) -> Iterable[bytes]:
    return answer_text(
        environ, start_response, TOO_LARGE, f"The body of this request may have {limit_bytes} bytes at most."
    )


def _counted(
    application: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse, limit_bytes: int
) -> Iterable[bytes]:
    """Call with a `wsgi.input` that counts; BodyTooLarge becomes 413 while the head can still be chosen."""
    counted = _CountedInput(environ["wsgi.input"], limit_bytes)
    environ["wsgi.input"] = counted
    is_started = False

    def start(status: str, headers: Any, *exc_info: Any) -> Any:
        nonlocal is_started
        is_started = True
        try:
            return start_response(status, headers, *exc_info)
        finally:
            exc_info = ()  # a circle of frames and traceback would keep all of it alive

    try:
        iterable = application(environ, start)
    except BodyTooLarge:
        if is_started:
            raise
        return _refuse(environ, start_response, limit_bytes)
    if is_started:
        return iterable
    return _LateBody(iterable, lambda: is_started, lambda: _refuse(environ, start_response, limit_bytes))


class _LateBody:
    """The body of an application that has not begun to answer: it may still read, and meet the limit."""

    def __init__(self, iterable: Iterable[bytes], is_started: Any, refuse: Any) -> None:
        self._iterable = iterable
        self._is_started = is_started
        self._refuse = refuse

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._iterable:  # noqa: UP028 - what the server raises into us must not reach it
                yield chunk
        except BodyTooLarge:
            if self._is_started():
                raise
            yield from self._refuse()

    def close(self) -> None:
        close = getattr(self._iterable, "close", None)
        if close is not None:
            close()


class _CountedInput:
    """`wsgi.input` up to a number of bytes; one more raises BodyTooLarge (PEP 3333, Input and Error
    Streams)."""

    def __init__(self, stream: InputStream, limit_bytes: int) -> None:
        self._stream = stream
        self._limit_bytes = limit_bytes
        self._bytes_left = limit_bytes

    def read(self, size_bytes: int | None = -1) -> bytes:
        # One byte more than allowed shows that there is more, whatever was asked for.
        most = self._bytes_left + 1
        asked = most if size_bytes is None or size_bytes < 0 else min(size_bytes, most)
        return self._count(self._stream.read(asked))

    def readline(self, size_bytes: int | None = -1) -> bytes:
        most = self._bytes_left + 1
        asked = most if size_bytes is None or size_bytes < 0 else min(size_bytes, most)
        return self._count(self._stream.readline(asked))

    def readlines(self, hint_bytes: int | None = -1) -> list[bytes]:
        lines: list[bytes] = []
        read_bytes = 0
        for line in self:
            lines.append(line)
            read_bytes += len(line)
            if hint_bytes is not None and 0 < hint_bytes <= read_bytes:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _count(self, data: bytes) -> bytes:
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            raise BodyTooLarge(f"the request body has more than {self._limit_bytes} bytes")
        return data
