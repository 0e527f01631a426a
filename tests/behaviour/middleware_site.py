"""A site with the middlewares around it, for any WSGI server. It serves its own directory below /files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from barkeep.middleware.access_log import AccessLog
from barkeep.middleware.allowed_hosts import AllowedHosts
from barkeep.middleware.compress import Compress
from barkeep.middleware.cors import Cors
from barkeep.middleware.max_body import MaxBody
from barkeep.middleware.mount import Mount
from barkeep.middleware.request_id import RequestId
from barkeep.middleware.security_headers import SecurityHeaders
from barkeep.middleware.server_timing import ServerTiming
from barkeep.middleware.stack import stack
from barkeep.middleware.static import Static
from barkeep.middleware.timeout import Timeout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

TEXT = b"the same words again and again, " * 100
ORIGIN = "https://pages.example"
MAX_BODY_BYTES = 1000

# How often the body of /closing was closed, per process.
closed: list[str] = []


class Closing:
    """A body that tells when it is closed."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"to be closed"

    def close(self) -> None:
        closed.append("closing")


def inner(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """One form of answer per path."""
    path = environ["PATH_INFO"]
    kind = [("Content-Type", "text/plain")]
    if path == "/empty":
        start_response("204 No Content", [])
        return []
    if path == "/echo":
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response("200 OK", kind)
        return [body]
    if path == "/write":
        write = start_response("200 OK", kind)
        write(TEXT)
        return [TEXT]
    start_response("200 OK", kind)
    if path == "/stream":
        return (TEXT for _ in range(3))
    if path == "/file":
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(TEXT))
        return wrapped
    if path == "/closing":
        return Closing()
    if path == "/closed":
        return [str(len(closed)).encode()]
    return [TEXT]


def mounted(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Tells where it is mounted."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode()]


application = stack(
    inner,
    RequestId(),
    AccessLog("/dev/null"),
    ServerTiming(),
    AllowedHosts(["127.0.0.1", "localhost"]),
    SecurityHeaders(),
    Cors(ORIGIN),
    MaxBody(MAX_BODY_BYTES),
    Timeout("30s"),
    Static({"/files": str(Path(__file__).parent)}),
    Mount({"/mount": mounted}),
    Compress(),
)
