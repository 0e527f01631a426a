"""Applications that keep every rule, one for each way of answering: what middleware is driven around."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

TEXT = ("Content-Type", "text/plain; charset=utf-8")
# Enough to be worth compressing, and to be cut in pieces.
LINE = b"A bartender pours, a barkeep keeps the bar.\n"
BODY = LINE * 64


def whole(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A list of one chunk, with its length."""
    start_response("200 OK", [TEXT, ("Content-Length", str(len(BODY))), ("ETag", '"probe"')])
    return [BODY]


def empty(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """No chunk at all."""
    start_response("200 OK", [TEXT])
    return []


def two_chunks(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A list of two chunks."""
    start_response("200 OK", [TEXT])
    return [BODY, LINE]


def streaming(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A generator, with an empty chunk in it, that has called start_response before."""
    start_response("200 OK", [TEXT])
    return iter_chunks()


def iter_chunks() -> Iterator[bytes]:
    """Three chunks with bytes."""
    yield BODY
    yield b""
    yield LINE
    yield BODY


def lazy(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """start_response is called when the first chunk is asked for."""
    start_response("200 OK", [TEXT])
    yield from iter_chunks()


def written(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """All of it through write()."""
    write = start_response("200 OK", [TEXT])
    write(BODY)
    write(LINE)
    return []


def written_and_given(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """First through write(), then as an iterable."""
    write = start_response("200 OK", [TEXT])
    write(BODY)
    return [LINE]


def no_content(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """204."""
    start_response("204 No Content", [])
    return []


def not_modified(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """304."""
    start_response("304 Not Modified", [("ETag", '"probe"')])
    return []


def partial(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """206."""
    fields = [TEXT, ("Content-Range", f"bytes 0-9/{len(BODY)}"), ("Content-Length", "10")]
    start_response("206 Partial Content", fields)
    return [BODY[:10]]


def failing(_environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
    """Raises before the head."""
    raise ProbeError("before the head")


def failing_later(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Raises after a chunk."""
    start_response("200 OK", [TEXT])
    yield BODY
    raise ProbeError("after a chunk")


def replacing(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """An error page instead of a head that is not out yet."""
    start_response("200 OK", [TEXT])
    try:
        fail("before the first chunk")
    except ProbeError:
        start_response("500 Internal Server Error", [TEXT], sys.exc_info())
    return [LINE]


def replacing_too_late(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The same when the head is out: start_response raises again."""
    start_response("200 OK", [TEXT])
    yield BODY
    try:
        fail("after a chunk")
    except ProbeError:
        start_response("500 Internal Server Error", [TEXT], sys.exc_info())
    yield LINE


def reading(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Gives the request body back."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return [body]


class ProbeError(Exception):
    """An application's own error, which is meant: whoever lets it through does right."""

    is_meant = True


def fail(when: str) -> None:
    """What the application does goes wrong."""
    raise ProbeError(when)


class Closing:
    """An iterable object whose close() must be called."""

    def __init__(self, _environ: WSGIEnvironment, start_response: StartResponse) -> None:
        self._start_response = start_response

    def __iter__(self) -> Iterator[bytes]:
        self._start_response("200 OK", [TEXT])
        yield BODY

    def close(self) -> None:
        """Nothing is open; that it is called is what is looked at."""


PROBES: tuple[WSGIApplication, ...] = (
    whole,
    empty,
    two_chunks,
    streaming,
    lazy,
    written,
    written_and_given,
    no_content,
    not_modified,
    partial,
    failing,
    failing_later,
    replacing,
    replacing_too_late,
    reading,
    Closing,
)
