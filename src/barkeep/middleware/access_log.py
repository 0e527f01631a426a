"""One line per request, for servers that keep no access log of their own: combined or JSON."""

from __future__ import annotations

import functools
import json
import re
from time import gmtime, perf_counter, strftime, time

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

    from .fields import Headers

    Line = Callable[["_Answer"], str]

# What could end a line, end a quoted text or move a terminal's cursor.
NOT_PLAIN = re.compile(r"[^ !#-\[\]-~]")

# Names of months as logs have them, whatever the locale says.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class _Answer:
    """What one line tells. Stands for start_response and write(), and counts the bytes that go through it.

    One object instead of a closure for each saves a third of what a line costs.
    """

    # What a server answers for an application that fails before its head.
    status = "500"
    headers: Headers = []  # noqa: RUF012 - replaced, never changed
    body_bytes = 0
    write: Callable[[bytes], object]
    iterator: Iterator[bytes]

    def __init__(self, environ: WSGIEnvironment, start_response: StartResponse) -> None:
        # Taken before: a Mount inside moves the path.
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if query := environ.get("QUERY_STRING"):
            path = f"{path}?{query}"
        self.request = (environ["REQUEST_METHOD"], path, environ.get("SERVER_PROTOCOL", ""))
        self.environ = environ
        self.start_response = start_response
        self.begun_at_s = time()
        self.begun_s = perf_counter()

    def start(self, status: str, headers: Headers, exc_info: Any = None) -> Callable[[bytes], object]:
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
        chunk: bytes = next(self.iterator)
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
    now = gmtime(second)
    return f"{now.tm_mday:02}/{MONTHS[now.tm_mon - 1]}/{now.tm_year}:" + strftime("%H:%M:%S", now)


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
        f'"{referer}" "{agent}" {(perf_counter() - answer.begun_s) * 1000:.1f}\n'
    )


@functools.lru_cache(maxsize=4)
def _json_moment(second: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(second))


# ASCII only, so that no byte of a peer reaches a terminal as it is.
_quoted = json.encoder.encode_basestring_ascii


def _json(answer: _Answer) -> str:
    # Written out: json.dumps makes an encoder for each line, and costs three times as much.
    get = answer.environ.get
    method, path, protocol = answer.request
    told = answer.status
    status = int(told) if told.isascii() and told.isdigit() else _quoted(told)
    return (
        f'{{"time":"{_json_moment(int(answer.begun_at_s))}","client":{_quoted(get("REMOTE_ADDR") or "")},'
        f'"user":{_quoted(get("REMOTE_USER") or "")},"method":{_quoted(method)},"path":{_quoted(path)},'
        f'"protocol":{_quoted(protocol)},"host":{_quoted(get("HTTP_HOST") or "")},"status":{status},'
        f'"bytes":{"null" if answer.body_bytes < 0 else answer.body_bytes},'
        f'"duration_ms":{(perf_counter() - answer.begun_s) * 1000:.1f},'
        f'"referer":{_quoted(get("HTTP_REFERER") or "")},'
        f'"user_agent":{_quoted(get("HTTP_USER_AGENT") or "")},'
        f'"request_id":{_quoted(get("barkeep.request_id") or "")}}}\n'
    )
