"""Under CGI: the answer goes to the server's pipe (RFC 3875, section 6), or to the client itself (NPH)."""

from __future__ import annotations

import os

from .errors import ApplicationError, ClientGone
from .lint.check_head import (
    BODILESS,
    check_fields,
    check_status,
    check_whole,
    content_length_of,
    status_code_of,
)
from .lint.codes import RULES
from .lint.rule import ERROR
from .wsgi import start_again

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from wsgiref.types import WSGIEnvironment

    from _typeshed import OptExcInfo

BLOCK_BYTES = 64 * 1024

FAILURE = b"The server could not answer this request.\n"


class CgiExchange:
    """What wsgi.answer asks of an exchange, with a pipe for its client. The caller owns the descriptor.

    is_nph: nothing parses the answer on its way (non-parsed header, RFC 3875, section 5): it is a whole HTTP
    message, and its end is the end of the connection.
    """

    def __init__(self, environ: WSGIEnvironment, output: int, *, is_nph: bool) -> None:
        self.environ = environ
        self.head_is_sent = False
        # Whether the server has, or is about to have, all that the head announces.
        self.is_complete = False
        self._output = output
        self._is_nph = is_nph
        self._is_head = environ["REQUEST_METHOD"] == "HEAD"

        # The head, once start_response was called.
        self._status = ""
        self._fields: list[tuple[str, str]] = []
        self._bytes_left: int | None = None

    @property
    def request(self) -> str:
        """The request as a log names it."""
        target = self.environ.get("REQUEST_URI") or self.environ["SCRIPT_NAME"] + self.environ["PATH_INFO"]
        return f"{self.environ['REQUEST_METHOD']} {ascii(target)[1:-1]}"

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        """Keep the head until there is a body. Raises ApplicationError for one that cannot be sent."""
        if exc_info is not None:
            start_again(self, status, headers, exc_info)  # type: ignore[arg-type]  # it has what is asked of one
        elif self._status:
            raise ApplicationError("start_response was called a second time without exc_info")
        else:
            self.replace_head(status, headers)
        return self.write

    def replace_head(self, status: str, headers: list[tuple[str, str]]) -> None:
        """The head counts, in place of an earlier one if there is one."""
        for code, seen in (*check_status(status), *check_fields(headers), *check_whole(status, headers)):
            if RULES[code].severity == ERROR:
                raise ApplicationError(f"{RULES[code].title}: {seen} ({code})")
        self._status, self._fields = status, list(headers)
        self._bytes_left = content_length_of(headers)

    def write(self, data: bytes) -> None:
        """Send a chunk at once, after the head. Raises ClientGone when nobody reads it."""
        if not isinstance(data, bytes):
            raise ApplicationError(f"a chunk of the body must be bytes, found {type(data).__name__}")
        if not self._status:
            raise ApplicationError("the body came before start_response was called")
        if not data:
            return
        if self._is_head or status_code_of(self._status) in BODILESS:
            data = b""
            self.is_complete = True
        elif self._bytes_left is not None:
            if len(data) > self._bytes_left:
                # What is above the length belongs to no answer.
                self.is_complete = True
                self._send(data[: self._bytes_left])
                self._bytes_left = 0
                raise ApplicationError("the body is longer than Content-Length")
            self._bytes_left -= len(data)
            self.is_complete = self._bytes_left == 0
        self._send(data)

    def send_all(self, chunks: Sequence[bytes]) -> None:
        """Send a body that is known as a whole, with its length."""
        are_bytes = all(isinstance(chunk, bytes) for chunk in chunks)
        names = [name.lower() for name, _value in self._fields]
        is_bodiless = status_code_of(self._status) in BODILESS
        if self._status and are_bytes and "content-length" not in names and not is_bodiless:
            self._bytes_left = sum(len(chunk) for chunk in chunks)
            self._fields.append(("Content-Length", str(self._bytes_left)))
        for chunk in chunks:
            self.write(chunk)
        self.finish()

    def send_file(self, descriptor: int, offset: int, available: int) -> None:
        """Send a plain file from an offset on, no further than its Content-Length."""
        left = available if self._bytes_left is None else min(available, self._bytes_left)
        is_bodiless = status_code_of(self._status) in BODILESS
        if self._status and self._bytes_left is None and not is_bodiless:
            self._fields.append(("Content-Length", str(left)))
            self._bytes_left = left
        if self._is_head or is_bodiless:
            left = 0
        while left > 0 and (block := os.pread(descriptor, min(BLOCK_BYTES, left), offset)):
            self.write(block)
            offset += len(block)
            left -= len(block)
        self.finish()

    def finish(self) -> None:
        """The answer is complete. Raises ApplicationError when it is not, by its own Content-Length."""
        if not self._status:
            raise ApplicationError("the application returned without calling start_response")
        if not self.head_is_sent:
            self.is_complete = True
            self._send(b"")
        if self._bytes_left and not self._is_head and status_code_of(self._status) not in BODILESS:
            raise ApplicationError(f"the body ended {self._bytes_left} bytes before its Content-Length")

    def fail(self, status: int) -> str:
        """Answer with an error of the server's, when nothing was sent; the result says what became of it."""
        if self.head_is_sent:
            # Too late: a server sees a body that ends before its length, or an NPH client the end.
            return "cut"
        self._status = f"{status} {'Bad Request' if status == 400 else 'Internal Server Error'}"
        self._fields = [("Content-Type", "text/plain"), ("Content-Length", str(len(FAILURE)))]
        self._bytes_left = None
        self.is_complete = True
        try:
            self._send(b"" if self._is_head else FAILURE)
        except ClientGone:
            return "gone"
        return f"answered {status}"

    def _send(self, data: bytes) -> None:
        if not self.head_is_sent:
            self.head_is_sent = True
            data = self._head_bytes() + data
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._output, view) :]
            except OSError as error:
                raise ClientGone(f"nobody reads the answer: {error.strerror}") from error

    def _head_bytes(self) -> bytes:
        fields = list(self._fields)
        if self._is_nph:
            names = [name.lower() for name, _value in fields]
            if "date" not in names:
                # Imported for NPH only: elsewhere the server adds the field.
                from email.utils import formatdate

                fields.append(("Date", formatdate(usegmt=True)))
            fields.append(("Connection", "close"))
            first, end = f"HTTP/1.1 {self._status}", "\r\n"
        else:
            # On Unix the newline of CGI is LF (RFC 3875, section 7.2).
            first, end = f"Status: {self._status}", "\n"
        lines = [first, *(f"{name}: {value}" for name, value in fields), "", ""]
        return end.join(lines).encode("latin-1")
