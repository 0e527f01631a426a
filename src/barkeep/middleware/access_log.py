"""One line per request, for servers that keep no access log of their own: combined or JSON."""

from __future__ import annotations

import functools
import json
import re
import time

from ..setting_kinds import choice, plain_text
from .base import Middleware, Option
from .fields import field
from .log_file import LogFile
from .paths import full_path
from .response import when_closed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    Line = Callable[["_Answer"], str]

# What could end a line, end a quoted text or move a terminal's cursor.
NOT_PLAIN = re.compile(r"[^ !#-\[\]-~]")

# Names of months as logs have them, whatever the locale says.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class _Answer:
    """What one line tells. Counts the bytes of a body that goes through it."""

    __slots__ = ("begun_at_s", "begun_s", "body_bytes", "environ", "headers", "iterator", "request", "status")

    def __init__(self, environ: WSGIEnvironment) -> None:
        # Taken before: a Mount inside moves the path.
        query = environ.get("QUERY_STRING", "")
        path = full_path(environ) + ("?" + query if query else "")
        self.request = (environ["REQUEST_METHOD"], path, environ.get("SERVER_PROTOCOL", ""))
        self.environ = environ
        self.begun_at_s = time.time()
        self.begun_s = time.perf_counter()
        # What a server answers for an application that fails before its head.
        self.status = "500"
        self.body_bytes = 0
        self.headers: list[tuple[str, str]] = []
        self.iterator: Iterator[bytes] = iter(())

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self.iterator)
        self.body_bytes += len(chunk)
        return chunk


class AccessLog(Middleware):
    """Writes a line when an answer is over: its close() was called, or the application failed.

    Outermost, it sees what all others answer. The file is opened again when it was moved away (logrotate).
    """

    shorthand = "file"

    file = Option(
        plain_text('a file, or "-" for standard output'), default="-",
        help='file to add lines to, "-" for standard output',
    )  # fmt: skip
    format = Option(
        choice("combined", "json"), default="combined",
        help="combined as Apache has it, with the milliseconds it took at the end; or a JSON object per line",
    )  # fmt: skip

    def wrap(self, application: WSGIApplication, /) -> WSGIApplication:
        log = LogFile(self.file)
        line: Line = _combined if self.format == "combined" else _json

        def logged(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            answer = _Answer(environ)

            def start(
                status: str, headers: list[tuple[str, str]], *exc_info: Any
            ) -> Callable[[bytes], object]:
                answer.status, answer.headers = status[:3], headers
                try:
                    write = start_response(status, headers, *exc_info)
                finally:
                    exc_info = ()  # a circle of frames and traceback would keep all of it alive

                def counted_write(data: bytes) -> None:
                    write(data)
                    answer.body_bytes += len(data)

                return counted_write

            def tell() -> None:
                log.write(line(answer))

            try:
                iterable = application(environ, start)
            except BaseException:
                tell()
                raise
            return when_closed(_with_count(iterable, answer), environ, tell)

        return logged


def _with_count(iterable: Iterable[bytes], answer: _Answer) -> Iterable[bytes]:
    """The body, as it is where its size can be told without counting chunks."""
    if type(iterable) is list or type(iterable) is tuple:
        answer.body_bytes += sum(map(len, iterable))
        return iterable
    if type(iterable) is answer.environ.get("wsgi.file_wrapper"):
        # It is never read here: the server sends it. Its size is what the application said.
        told = field(answer.headers, "content-length")
        answer.body_bytes = int(told) if told is not None and told.isdigit() else -1
        return iterable
    return _Counted(iterable, answer)


class _Counted:
    def __init__(self, iterable: Iterable[bytes], answer: _Answer) -> None:
        self._iterable = iterable
        self._answer = answer
        self.close = getattr(iterable, "close", _do_nothing)

    def __iter__(self) -> Iterator[bytes]:
        self._answer.iterator = iter(self._iterable)
        return self._answer


def _do_nothing() -> None:
    pass


# Many lines tell the same second.
@functools.lru_cache(maxsize=4)
def _moment(second: int) -> str:
    now = time.gmtime(second)
    return f"{now.tm_mday:02}/{MONTHS[now.tm_mon - 1]}/{now.tm_year}:" + time.strftime("%H:%M:%S", now)


def _escaped(text: str) -> str:
    r"""A text for between double quotes: what is not visible ASCII becomes \xNN."""
    return NOT_PLAIN.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _combined(answer: _Answer) -> str:
    environ = answer.environ
    texts = [
        *answer.request,
        environ.get("HTTP_REFERER") or "-",
        environ.get("HTTP_USER_AGENT") or "-",
        environ.get("REMOTE_USER") or "-",
        environ.get("REMOTE_ADDR") or "-",
    ]
    if NOT_PLAIN.search("".join(texts)) is not None:
        texts = list(map(_escaped, texts))
    method, path, protocol, referer, agent, user, client = texts
    user = user.replace(" ", "\\x20")
    return (
        f"{client} - {user} "
        f'[{_moment(int(answer.begun_at_s))} +0000] "{method} {path} {protocol}" '
        f"{answer.status} {'-' if answer.body_bytes < 0 else answer.body_bytes} "
        f'"{referer}" "{agent}" {(time.perf_counter() - answer.begun_s) * 1000:.1f}\n'
    )


def _json(answer: _Answer) -> str:
    environ = answer.environ
    method, path, protocol = answer.request
    told = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(answer.begun_at_s)),
        "client": environ.get("REMOTE_ADDR", ""),
        "user": environ.get("REMOTE_USER", ""),
        "method": method,
        "path": path,
        "protocol": protocol,
        "host": environ.get("HTTP_HOST", ""),
        "status": int(answer.status) if answer.status.isdigit() else answer.status,
        "bytes": None if answer.body_bytes < 0 else answer.body_bytes,
        "duration_ms": round((time.perf_counter() - answer.begun_s) * 1000, 1),
        "referer": environ.get("HTTP_REFERER", ""),
        "user_agent": environ.get("HTTP_USER_AGENT", ""),
        "request_id": environ.get("barkeep.request_id", ""),
    }
    # ASCII only, so that no byte of a peer reaches a terminal as it is.
    return json.dumps(told, separators=(",", ":")) + "\n"
