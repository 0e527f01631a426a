"""One hop of a request: sent to an upstream over a pooled connection, and its answer brought back."""

from __future__ import annotations

import weakref

from .fields import members
from .proxy_fields import (
    forwarded,
    has_body,
    public_location,
    public_prefix,
    request_fields,
    response_head,
    via,
    was_here,
    x_forwarded,
)
from .response import answer_text
from .upstream import DOT_SEGMENT, target_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType
    from typing import Any
    from wsgiref.types import StartResponse, WSGIEnvironment

    from .fields import Headers
    from .proxy import Proxy
    from .upstream import Upstream

# What is read of a request body at once.
PIECE_BYTES = 64 * 1024

# Methods that may be sent twice (RFC 9110 section 9.2.2). TRACE is not passed on at all.
IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))
# CONNECT would need the bare connection, and TRACE shows credentials that proxies add.
NOT_PASSED_ON = frozenset(("CONNECT", "TRACE"))

WITHOUT_BODY = (204, 304)


class Hop:
    """The way to one upstream, and back. Any thread may call it: the pool has locks of its own."""

    def __init__(self, piece: Proxy, http: ModuleType, upstream: Upstream, pool: Any) -> None:
        """http: the module httpcore. pool: its connections to the upstream, closed with this hop."""
        # Nobody tells a WSGI application that it is over: its end is when it is collected, or Python exits.
        weakref.finalize(self, pool.close)
        self._http = http
        self._upstream = upstream
        self._pool = pool
        self._pseudonym = piece.pseudonym()
        self._tells = {"x-forwarded": x_forwarded, "forwarded": forwarded}.get(piece.forwarded)
        self._keeps_host = piece.host == "client"
        self._retries = piece.retries
        self._timeouts = {
            "connect": piece.connect_timeout,
            "pool": piece.connect_timeout,
            "read": piece.timeout,
            "write": piece.timeout,
        }

    def answer(self, environ: WSGIEnvironment, start_response: StartResponse, prefix: str) -> Iterable[bytes]:
        """Pass one request on, and its answer back."""
        refusal = self._refusal(environ)
        if refusal is not None:
            status, text = refusal
            return answer_text(environ, start_response, status, text)
        try:
            response = self._send(environ, prefix)
        except self._failures() as error:
            return self._fail(environ, start_response, error)
        if response.status < 200:
            response.close()
            return self._fail(
                environ, start_response, self._http.RemoteProtocolError("it switched protocols")
            )
        try:
            status, headers = self._head(response, environ, prefix)
            start_response(status, headers)
            if environ["REQUEST_METHOD"] != "HEAD" and response.status not in WITHOUT_BODY:
                return _Body(response)
            # Nothing comes, but only who reads to the end gets to keep the connection.
            response.read()
        except BaseException:
            response.close()
            raise
        response.close()
        return []

    def _refusal(self, environ: WSGIEnvironment) -> tuple[str, str] | None:
        """Status and text for what is not passed on."""
        method = environ["REQUEST_METHOD"]
        if method in NOT_PASSED_ON:
            return "501 Not Implemented", f"{method} is not passed on."
        if DOT_SEGMENT.search(environ.get("PATH_INFO", "")):
            return "400 Bad Request", "The path leads out of where it is mounted."
        if was_here(environ, self._pseudonym):
            return "508 Loop Detected", "The request has come through this proxy before."
        if method == "OPTIONS" and environ.get("HTTP_MAX_FORWARDS", "").strip() == "0":
            return "200 OK", "This proxy answers, for Max-Forwards is 0."
        return None

    def _send(self, environ: WSGIEnvironment, prefix: str) -> Any:
        """The upstream's response, its head read and its body not yet."""
        method, upstream = environ["REQUEST_METHOD"], self._upstream
        host = environ.get("HTTP_HOST", "") if self._keeps_host else ""
        fields: Headers = [("host", host or upstream.authority), *request_fields(environ)]
        fields = [pair for pair in fields if pair[0] != "via"] + [via(environ, self._pseudonym)]
        if self._tells is not None:
            fields += self._tells(environ, prefix)
        hops_left = environ.get("HTTP_MAX_FORWARDS", "")
        if method == "OPTIONS" and hops_left.isascii() and hops_left.isdigit():
            fields.append(("max-forwards", str(int(hops_left) - 1)))
        url = self._http.URL(
            scheme=upstream.scheme.encode(),
            host=upstream.host.encode(),
            port=upstream.port,
            target=target_of(environ, prefix, upstream).encode("latin-1"),
        )
        with_body = has_body(environ)
        tries_left = self._retries if method in IDEMPOTENT and not with_body else 0
        while True:
            request = self._http.Request(
                method,
                url,
                headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields],
                content=_pieces(environ) if with_body else None,
                extensions={"timeout": self._timeouts},
            )
            try:
                return self._pool.handle_request(request)
            except (self._http.NetworkError, self._http.RemoteProtocolError):
                # Most often a connection that the upstream was closing just then.
                if not tries_left:
                    raise
                tries_left -= 1

    def _head(self, response: Any, environ: WSGIEnvironment, prefix: str) -> tuple[str, Headers]:
        status, headers = response_head(
            response.status, response.extensions.get("reason_phrase", b""), response.headers
        )
        mounted = public_prefix(environ, prefix)
        own: list[str] = []
        passed: Headers = []
        for name, value in headers:
            if name.lower() == "via":
                own.extend(members(value))
            elif name.lower() in ("location", "content-location"):
                passed.append((name, public_location(value, self._upstream, mounted)))
            else:
                passed.append((name, value))
        version = response.extensions.get("http_version", b"HTTP/1.1").decode("latin-1").partition("/")[2]
        return status, [*passed, ("Via", ", ".join([*own, f"{version} {self._pseudonym}"]))]

    def _failures(self) -> tuple[type[Exception], ...]:
        http = self._http
        return (http.NetworkError, http.TimeoutException, http.ProtocolError)

    def _fail(
        self, environ: WSGIEnvironment, start_response: StartResponse, error: Exception
    ) -> Iterable[bytes]:
        """Tell the client what cannot be helped, and the log why."""
        http = self._http
        headers: Headers = []
        if isinstance(error, http.PoolTimeout):
            status, headers = "503 Service Unavailable", [("Retry-After", "1")]
        elif isinstance(error, http.TimeoutException):
            status = "504 Gateway Timeout"
        elif isinstance(error, http.LocalProtocolError):
            status = "400 Bad Request"
        else:
            status = "502 Bad Gateway"
        path = ascii(environ.get("PATH_INFO", ""))
        environ["wsgi.errors"].write(
            f"Proxy: {status[:3]} for {environ['REQUEST_METHOD']} {path}: {self._upstream.text}: "
            f"{type(error).__name__}: {error}\n"
        )
        return answer_text(environ, start_response, status, status[4:] + ".", headers)


class _Body:
    """The body of an answer as it arrives. close() gives the connection back, or ends it in mid-answer."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        chunks: Iterator[bytes] = self._response.iter_stream()
        return chunks

    def close(self) -> None:
        self._response.close()


def _pieces(environ: WSGIEnvironment) -> Iterator[bytes]:
    """The request body as it arrives. Raises OSError when it ends before its length."""
    body = environ["wsgi.input"]
    read = getattr(body, "read1", body.read)
    if not environ.get("CONTENT_LENGTH"):
        while piece := read(PIECE_BYTES):
            yield piece
        return
    left = int(environ["CONTENT_LENGTH"])
    while left > 0:
        piece = read(min(PIECE_BYTES, left))
        if not piece:
            raise OSError(f"the request body ends {left} bytes before its length")
        left -= len(piece)
        yield piece
