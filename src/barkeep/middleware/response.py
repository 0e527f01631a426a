"""Tools for the answer that passes through a middleware: its head, its body, its close() (PEP 3333).

- `changed_head`, `with_fields`: for pieces that change only the head. The body is not looked at.
- `filter_body`: for pieces that change chunks. One chunk in, one chunk out; write() too.
- `when_closed`: for pieces that must know when the answer is over.
- `answer_text`: a short answer of the middleware's own.
"""

from __future__ import annotations

from .fields import with_field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Protocol
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from _typeshed import OptExcInfo

    from .fields import Headers

    Write = Callable[[bytes], object]
    Head = tuple[str, Headers]

    class BodyFilter(Protocol):
        """Changes the chunks of one answer. May raise; then the answer is the server's to abort."""

        def chunk(self, data: bytes, /) -> bytes:
            """What is sent for one chunk, at once: nothing may wait inside for the next one."""

        def end(self) -> bytes:
            """What is sent after the last chunk; may be empty."""

    # (status, headers, bytes of the body or None while unknown) -> what to send instead, a filter or None.
    Decide = Callable[[str, Headers, "int | None"], "tuple[str, Headers, BodyFilter | None]"]


def changed_head(start_response: StartResponse, change: Callable[[str, Headers], Head]) -> StartResponse:
    """A start_response that passes on what `change` makes of status and headers.

    change: takes (status, headers), must not change that list, and returns both anew. It is called again when
    the application replaces its head with exc_info.
    """

    def start(status: str, headers: Headers, exc_info: OptExcInfo | None = None, /) -> Write:
        status, headers = change(status, headers)
        if exc_info is None:
            return start_response(status, headers)
        try:
            return start_response(status, headers, exc_info)
        finally:
            exc_info = None  # a circle of frames and traceback would keep all of it alive

    return start


def with_fields(start_response: StartResponse, fields: Headers) -> StartResponse:
    """As `changed_head`, for fields that are known beforehand and stand beside those of the application."""

    def start(status: str, headers: Headers, exc_info: OptExcInfo | None = None, /) -> Write:
        if exc_info is None:
            return start_response(status, headers + fields)
        try:
            return start_response(status, headers + fields, exc_info)
        finally:
            exc_info = None  # as above

    return start


def filter_body(
    application: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse, decide: Decide
) -> Iterable[bytes]:
    """Call the application; send the head that `decide` makes, and the body through the filter that it
    chooses.

    The head waits until the size of the body is known, or its first chunk is there. Without a filter the
    application's own iterable is returned. A list or tuple that is filtered becomes a list of one chunk with
    its Content-Length; any other filtered body loses a Content-Length, which told the size before.
    """
    response = _FilteredResponse(start_response, decide)
    return response.body(application(environ, response.start))


def when_closed(
    iterable: Iterable[bytes], environ: WSGIEnvironment, then: Callable[[], object]
) -> Iterable[bytes]:
    """The same body; `then` is called once, after its close().

    For a list or tuple `then` is called at once: the application has done its part, and nobody will call
    close(). A file of wsgi.file_wrapper stays what it is, so that the server can still send it without
    reading it here.
    """
    if type(iterable) is list or type(iterable) is tuple:
        then()
        return iterable
    if type(iterable) is environ.get("wsgi.file_wrapper"):
        closing = _Closing(iterable, then)
        try:
            iterable.close = closing.close  # type: ignore[attr-defined]
        except AttributeError:
            # A type with slots or written in C: then it must be wrapped like any other.
            return closing
        return iterable
    return _Closing(iterable, then)


def answer_text(
    environ: WSGIEnvironment,
    start_response: StartResponse,
    status: str,
    text: str,
    headers: Iterable[tuple[str, str]] = (),
) -> list[bytes]:
    """Answer with one line of plain text; without a body to HEAD (RFC 9110 section 9.3.2)."""
    body = f"{text}\n".encode()
    own = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(status, [*own, *headers])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


class _Closing:
    """An iterable whose chunks are the application's own iterator: no cost per chunk."""

    def __init__(self, iterable: Iterable[bytes], then: Callable[[], object]) -> None:
        self._iterable = iterable
        # Taken now: a file wrapper gets our close() in the place of its own.
        self._close = getattr(iterable, "close", None)
        self._then: Callable[[], object] | None = then

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._iterable)

    def close(self) -> None:
        then, self._then = self._then, None
        if then is None:
            return
        # A file wrapper refers to us by its close(): without the circle it is freed at once.
        self._iterable = ()
        try:
            if self._close is not None:
                self._close()
        finally:
            then()


class _FilteredResponse:
    """The state of one answer of `filter_body`: head held back, then passed on with its filter."""

    __slots__ = ("_decide", "_filter", "_held", "_start_response", "_write")

    def __init__(self, start_response: StartResponse, decide: Decide) -> None:
        self._start_response = start_response
        self._decide = decide
        self._held: Head | None = None
        self._write: Write | None = None
        self._filter: BodyFilter | None = None

    def start(self, status: str, headers: Headers, exc_info: OptExcInfo | None = None, /) -> Write:
        if self._held is not None and exc_info is None:
            # The server has the say about a second call: it needs to see the first one.
            self._pass_on(None)
        if self._write is None:
            # A head that replaces one the server never saw needs no exc_info.
            self._held = (status, headers)
            return self.write
        try:
            status, headers, self._filter = self._decide(status, headers, None)
            if self._filter is not None:
                headers = [pair for pair in headers if pair[0].lower() != "content-length"]
            if exc_info is None:
                self._write = self._start_response(status, headers)
            else:
                self._write = self._start_response(status, headers, exc_info)
        finally:
            exc_info = None
        return self.write

    def write(self, data: bytes) -> object:
        self.release()
        assert self._write is not None  # noqa: S101 - start_response gave this method out
        return self._write(data if self._filter is None else self._filter.chunk(data))

    def release(self) -> None:
        """Pass on the head, if it waits."""
        if self._held is not None:
            self._pass_on(None)

    def chunk(self, data: bytes) -> bytes:
        return data if self._filter is None else self._filter.chunk(data)

    def end(self) -> bytes:
        return b"" if self._filter is None else self._filter.end()

    def body(self, iterable: Iterable[bytes]) -> Iterable[bytes]:
        """What the server gets for the application's iterable, which is closed when this fails."""
        if type(iterable) is list or type(iterable) is tuple:
            return self._list(iterable)
        try:
            self.release()
            if self._write is not None and self._filter is None:
                return iterable
            return _FilteredBody(self, iterable)
        except BaseException:
            if hasattr(iterable, "close"):
                iterable.close()
            raise

    def _list(self, chunks: list[bytes] | tuple[bytes, ...]) -> Iterable[bytes]:
        if self._held is None:
            # After write(), or no head at all: then the server tells the application.
            return chunks if self._filter is None else [*map(self.chunk, chunks), self.end()]
        return self._pass_on(chunks)

    def _pass_on(self, chunks: list[bytes] | tuple[bytes, ...] | None) -> list[bytes] | tuple[bytes, ...]:
        """Decide, then call the server's start_response. chunks: the whole body where it is known."""
        assert self._held is not None  # noqa: S101 - both callers have looked
        (status, headers), self._held = self._held, None
        body_bytes = None if chunks is None else sum(map(len, chunks))
        status, headers, self._filter = self._decide(status, headers, body_bytes)
        if self._filter is not None:
            headers = [pair for pair in headers if pair[0].lower() != "content-length"]
            if chunks is not None:
                chunks = [b"".join([*map(self._filter.chunk, chunks), self._filter.end()])]
                headers = with_field(headers, "Content-Length", str(len(chunks[0])))
        self._write = self._start_response(status, headers)
        return chunks if chunks is not None else []


class _FilteredBody:
    """The iterable of a filtered answer, or of one whose application has not started it yet."""

    __slots__ = ("_is_over", "_iterable", "_iterator", "_response")

    def __init__(self, response: _FilteredResponse, iterable: Iterable[bytes]) -> None:
        self._response = response
        self._iterable: Iterable[bytes] | None = iterable
        self._iterator: Iterator[bytes] = iter(())
        self._is_over = False

    def __iter__(self) -> Iterator[bytes]:
        if self._iterable is not None:
            self._iterator = iter(self._iterable)
        return self

    def __next__(self) -> bytes:
        if self._is_over:
            raise StopIteration
        for chunk in self._iterator:
            self._response.release()
            return self._response.chunk(chunk)
        self._is_over = True
        self._response.release()
        last = self._response.end()
        if not last:
            raise StopIteration
        return last

    def close(self) -> None:
        iterable, self._iterable = self._iterable, None
        close = getattr(iterable, "close", None)
        if close is not None:
            close()
