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
    """What one line tells. Stands for start_response and write(), and counts the bytes that go through it.

    One object instead of a closure for each saves a third of what a line costs.
    """

    __slots__ = (
        "begun_at_s", "begun_s", "body_bytes", "environ", "headers", "iterator", "request", "start_response",
        "status", "write",
    )  # fmt: skip

    def __init__(self, environ: WSGIEnvironment, start_response: StartResponse) -> None:
        get = environ.get
        # Taken before: a Mount inside moves the path.
        path = get("SCRIPT_NAME", "") + get("PATH_INFO", "")
        query = get("QUERY_STRING")
        if query:
            path += "?" + query
        self.request = (environ["REQUEST_METHOD"], path, get("SERVER_PROTOCOL", ""))
        self.environ = environ
        self.start_response = start_response
        self.begun_at_s = time.time()
        self.begun_s = time.perf_counter()
        # What a server answers for an application that fails before its head.
        self.status = "500"
        self.body_bytes = 0
        self.headers: list[tuple[str, str]] = []

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        """As start_response."""
        self.status, self.headers = status[:3], headers
        if exc_info is None:
            self.write = self.start_response(status, headers)
            return self.counted_write
        try:
            self.write = self.start_response(status, headers, exc_info)
        finally:
            exc_info = None  # a circle of frames and traceback would keep all of it alive
        return self.counted_write

    def counted_write(self, data: bytes) -> None:
        """As write()."""
        self.write(data)
        self.body_bytes += len(data)

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
            answer = _Answer(environ, start_response)
            try:
                iterable = application(environ, answer.start)
            except BaseException:
                log.write(line(answer))
                raise
            if type(iterable) is list or type(iterable) is tuple:
                # The application has done its part, and nobody will call close().
                for chunk in iterable:
                    answer.body_bytes += len(chunk)
                log.write(line(answer))
                return iterable
            return when_closed(_with_count(iterable, answer), environ, lambda: log.write(line(answer)))

        return logged


def _with_count(iterable: Iterable[bytes], answer: _Answer) -> Iterable[bytes]:
    """The body, as it is where its size can be told without counting chunks."""
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
    get = answer.environ.get
    method, path, protocol = answer.request
    referer, agent = get("HTTP_REFERER") or "-", get("HTTP_USER_AGENT") or "-"
    user, client = get("REMOTE_USER") or "-", get("REMOTE_ADDR") or "-"
    told = f"{method}{path}{protocol}{referer}{agent}{user}{client}"
    # As NOT_PLAIN, in a tenth of its time.
    if not (told.isascii() and told.isprintable()) or '"' in told or "\\" in told:
        texts = (method, path, protocol, referer, agent, user, client)
        method, path, protocol, referer, agent, user, client = map(_escaped, texts)
    if " " in user:
        user = user.replace(" ", "\\x20")
    return (
        f"{client} - {user} "
        f'[{_moment(int(answer.begun_at_s))} +0000] "{method} {path} {protocol}" '
        f"{answer.status} {'-' if answer.body_bytes < 0 else answer.body_bytes} "
        f'"{referer}" "{agent}" {(time.perf_counter() - answer.begun_s) * 1000:.1f}\n'
    )


@functools.lru_cache(maxsize=4)
def _json_moment(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))


# json.dumps would make one for each line. ASCII only, so that no byte of a peer reaches a terminal as it is.
_to_json = json.JSONEncoder(separators=(",", ":")).encode


def _json(answer: _Answer) -> str:
    environ = answer.environ
    method, path, protocol = answer.request
    told = {
        "time": _json_moment(int(answer.begun_at_s)),
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
    return _to_json(told) + "\n"
