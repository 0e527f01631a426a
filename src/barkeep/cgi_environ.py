"""Under CGI: the environ from the process environment (RFC 3875, section 4.1)."""

from __future__ import annotations

import os
import sys

from .errors import RequestBodyError, SettingError
from .file_wrapper import FileWrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from wsgiref.types import WSGIEnvironment

# What a request may put into the environ. The rest of the process environment, with its secrets, is not the
# request's: RFC 3875, section 4.1, and what servers add by custom.
VARIABLES = frozenset(
    (
        b"AUTH_TYPE",
        b"CONTENT_LENGTH",
        b"CONTENT_TYPE",
        b"DOCUMENT_ROOT",
        b"GATEWAY_INTERFACE",
        b"HTTPS",
        b"PATH_INFO",
        b"PATH_TRANSLATED",
        b"QUERY_STRING",
        b"REDIRECT_STATUS",
        b"REMOTE_ADDR",
        b"REMOTE_HOST",
        b"REMOTE_IDENT",
        b"REMOTE_PORT",
        b"REMOTE_USER",
        b"REQUEST_METHOD",
        b"REQUEST_SCHEME",
        b"REQUEST_URI",
        b"SCRIPT_FILENAME",
        b"SCRIPT_NAME",
        b"SERVER_ADDR",
        b"SERVER_NAME",
        b"SERVER_PORT",
        b"SERVER_PROTOCOL",
        b"SERVER_SOFTWARE",
    )
)

# A Proxy field would be taken for the operator's proxy by HTTP libraries; the others have names of their own.
DROPPED_FIELDS = (b"HTTP_PROXY", b"HTTP_CONTENT_TYPE", b"HTTP_CONTENT_LENGTH")

REQUIRED = ("REQUEST_METHOD", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL")

BLOCK_BYTES = 64 * 1024


def make_cgi_environ(variables: Mapping[bytes, bytes], body: int) -> WSGIEnvironment:
    """The environ of the one request that this process is for.

    variables: os.environb. body: the descriptor of the request body, whose owner closes it.
    Raises SettingError when no server has made these variables, RequestBodyError for a wrong CONTENT_LENGTH.
    """
    environ: WSGIEnvironment = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in variables.items()
        if (name in VARIABLES or name.startswith(b"HTTP_")) and name not in DROPPED_FIELDS
    }
    missing = [name for name in REQUIRED if not environ.get(name)]
    if missing:
        raise SettingError(
            f"barkeep.cgi is run by a web server, found no {', '.join(missing)} in the environment. "
            "Use barkeep TARGET to serve without one."
        )
    script = environ.get("SCRIPT_NAME", "")
    environ["SCRIPT_NAME"] = "" if script == "/" else script
    environ.setdefault("PATH_INFO", "" if environ["SCRIPT_NAME"] else "/")
    environ.setdefault("QUERY_STRING", "")
    is_https = environ.get("HTTPS", "").lower() in ("on", "1") or environ.get("REQUEST_SCHEME") == "https"
    environ.update(
        {
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https" if is_https else "http",
            "wsgi.input": CgiInput(body, _body_bytes_of(environ)),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": False,
            "wsgi.multiprocess": True,
            "wsgi.run_once": True,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input_terminated": True,
        }
    )
    return environ


def _body_bytes_of(environ: WSGIEnvironment) -> int | None:
    """Bytes of the body; None when only its end tells, as some servers hand on a chunked body."""
    length = environ.get("CONTENT_LENGTH", "")
    if not length:
        return None if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower() else 0
    if not (length.isascii() and length.isdigit()):
        raise RequestBodyError(f'CONTENT_LENGTH must be a number, found "{ascii(length)[1:-1]}"')
    return int(length)


class CgiInput:
    """The request body from standard input, never past its length (RFC 3875, section 4.2).

    bytes_left: of the body; None to the end of the stream. Reading raises RequestBodyError when it is cut.
    """

    def __init__(self, descriptor: int, bytes_left: int | None) -> None:
        self._descriptor = descriptor
        self._bytes_left = bytes_left
        self._held = b""
        self._has_ended = False

    def read(self, size: int | None = None, /) -> bytes:
        """So many bytes, fewer only at the end; all of them without a size."""
        wanted = -1 if size is None or size < 0 else size
        pieces, held = [self._held], len(self._held)
        while wanted < 0 or held < wanted:
            piece = self._receive()
            if not piece:
                break
            pieces.append(piece)
            held += len(piece)
        data = b"".join(pieces)
        if wanted < 0:
            wanted = len(data)
        self._held = data[wanted:]
        return data[:wanted]

    def readline(self, size: int | None = None, /) -> bytes:
        """Up to and with the next line end, and no more than `size` bytes."""
        limit = -1 if size is None or size < 0 else size
        searched = 0
        while (end := self._held.find(b"\n", searched)) < 0 and (limit < 0 or len(self._held) < limit):
            searched = len(self._held)
            piece = self._receive()
            if not piece:
                break
            self._held += piece
        stop = len(self._held) if end < 0 else end + 1
        stop = stop if limit < 0 else min(stop, limit)
        line, self._held = self._held[:stop], self._held[stop:]
        return line

    def readlines(self, hint: int | None = None, /) -> list[bytes]:
        """Lines until `hint` bytes are reached, all of them without one."""
        lines: list[bytes] = []
        total = 0
        for line in self:
            lines.append(line)
            total += len(line)
            if hint is not None and 0 < hint <= total:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def _receive(self) -> bytes:
        if self._has_ended or self._bytes_left == 0:
            return b""
        wanted = BLOCK_BYTES if self._bytes_left is None else min(BLOCK_BYTES, self._bytes_left)
        try:
            piece = os.read(self._descriptor, wanted)
        except OSError as error:
            raise RequestBodyError(f"the request body cannot be read: {error.strerror}") from error
        if not piece:
            self._has_ended = True
            if self._bytes_left:
                raise RequestBodyError(f"the request body ended {self._bytes_left} bytes before its length")
        elif self._bytes_left is not None:
            self._bytes_left -= len(piece)
        return piece
