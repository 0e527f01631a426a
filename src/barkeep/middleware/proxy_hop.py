"""One hop of a request: sent to an upstream over a pooled connection, and its answer brought back."""

from __future__ import annotations

from urllib3 import Timeout
from urllib3 import exceptions as faults
from urllib3.util import SKIP_HEADER

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
from .upstream_pool import make_pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any
    from wsgiref.types import StartResponse, WSGIEnvironment

    from .fields import Headers
    from .proxy import Proxy
    from .upstream import Upstream

# What is read of a body at once.
PIECE_BYTES = 64 * 1024

# Methods that may be sent twice (RFC 9110 section 9.2.2). TRACE is not passed on at all.
IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))
# CONNECT would need the bare connection, and TRACE shows credentials that proxies add.
NOT_PASSED_ON = frozenset(("CONNECT", "TRACE"))

WITHOUT_BODY = (204, 304)


class _BodyFault(Exception):
    """The request body cannot be read: no fault of the upstream. Carries the error."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Hop:
    """The way to one upstream, and back. Any thread may call it: the pool has locks of its own."""

    def __init__(self, piece: Proxy, upstream: Upstream) -> None:
        self._upstream = upstream
        self._pool = make_pool(upstream, piece.connections, piece.timeout)
        self._pseudonym = piece.pseudonym()
        self._tells = {"x-forwarded": x_forwarded, "forwarded": forwarded}.get(piece.forwarded)
        self._keeps_host = piece.host == "client"
        self._retries = piece.retries
        self._pool_timeout_s: Any = piece.connect_timeout
        self._timeout = Timeout(connect=piece.connect_timeout, read=piece.timeout)

    def answer(self, environ: WSGIEnvironment, start_response: StartResponse, prefix: str) -> Iterable[bytes]:
        """Pass one request on, and its answer back."""
        refusal = self._refusal(environ)
        if refusal is not None:
            status, text = refusal
            return answer_text(environ, start_response, status, text)
        try:
            response = self._send(environ, prefix)
        except (faults.HTTPError, ValueError) as error:
            return self._fail(environ, start_response, error)
        except _BodyFault as fault:
            raise fault.error from None
        body = _Body(response)
        try:
            wrong = _wrong_answer(response)
            if wrong:
                body.close()
                return self._fail(environ, start_response, faults.ProtocolError(wrong))
            status, headers = self._head(response, environ, prefix)
            start_response(status, headers)
        except BaseException:
            body.close()
            raise
        if environ["REQUEST_METHOD"] == "HEAD" or response.status in WITHOUT_BODY:
            response.release_conn()
            return []
        return body

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
        if has_body(environ) and not (environ.get("CONTENT_LENGTH") or environ.get("wsgi.input_terminated")):
            # Without that promise of the server, reading to the end of a chunked body may wait for ever.
            return "411 Length Required", "The body needs a Content-Length."
        return None

    def _send(self, environ: WSGIEnvironment, prefix: str) -> Any:
        """The upstream's response, its head read and its body not yet."""
        method, with_body = environ["REQUEST_METHOD"], has_body(environ)
        fields = self._fields(environ, prefix)
        target = target_of(environ, prefix, self._upstream)
        tries_left = self._retries if method in IDEMPOTENT and not with_body else 0
        while True:
            try:
                return self._pool.urlopen(
                    method,
                    target,
                    body=_pieces(environ) if with_body else None,
                    headers=fields,
                    timeout=self._timeout,
                    pool_timeout=self._pool_timeout_s,
                    retries=False,
                    redirect=False,
                    assert_same_host=False,
                    preload_content=False,
                    decode_content=False,
                )
            except (faults.ProtocolError, faults.NewConnectionError):
                # Most often a connection that the upstream was closing just then.
                if not tries_left:
                    raise
                tries_left -= 1

    def _fields(self, environ: WSGIEnvironment, prefix: str) -> dict[str, str]:
        """The fields that the upstream gets."""
        host = environ.get("HTTP_HOST", "") if self._keeps_host else ""
        # urllib3 would say these for itself.
        fields = {
            "host": host or self._upstream.authority,
            "user-agent": SKIP_HEADER,
            "accept-encoding": SKIP_HEADER,
        }
        fields.update(request_fields(environ))
        fields.update([via(environ, self._pseudonym)])
        if self._tells is not None:
            fields.update(self._tells(environ, prefix))
        hops_left = environ.get("HTTP_MAX_FORWARDS", "")
        if environ["REQUEST_METHOD"] == "OPTIONS" and hops_left.isascii() and hops_left.isdigit():
            fields["max-forwards"] = str(int(hops_left) - 1)
        return fields

    def _head(self, response: Any, environ: WSGIEnvironment, prefix: str) -> tuple[str, Headers]:
        status, headers = response_head(response.status, response.reason or "", response.headers.iteritems())
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
        version = "1.0" if response.version == 10 else "1.1"
        return status, [*passed, ("Via", ", ".join([*own, f"{version} {self._pseudonym}"]))]

    def _fail(
        self, environ: WSGIEnvironment, start_response: StartResponse, error: Exception
    ) -> Iterable[bytes]:
        """Tell the client what cannot be helped, and the log why."""
        status = _status_for(error)
        path = ascii(environ.get("PATH_INFO", ""))
        environ["wsgi.errors"].write(
            f"Proxy: {status[:3]} for {environ['REQUEST_METHOD']} {path}: {self._upstream.text}: "
            f"{type(error).__name__}: {ascii(str(error))[1:-1]}\n"
        )
        headers = [("Retry-After", "1")] if isinstance(error, faults.EmptyPoolError) else []
        return answer_text(environ, start_response, status, status[4:] + ".", headers)


def _status_for(error: Exception) -> str:
    if isinstance(error, faults.EmptyPoolError):
        return "503 Service Unavailable"
    # urllib3 counts every failed connect among timeouts.
    if isinstance(error, faults.NewConnectionError):
        return "502 Bad Gateway"
    # A timeout while sending comes inside of a ProtocolError.
    causes = (error, *error.args)
    if any(isinstance(cause, (faults.TimeoutError, TimeoutError)) for cause in causes):
        return "504 Gateway Timeout"
    # http.client refuses to send such a field or path.
    return "400 Bad Request" if isinstance(error, ValueError) else "502 Bad Gateway"


def _wrong_answer(response: Any) -> str:
    """What makes an answer one that cannot be passed on; "" for nothing."""
    if response.status < 200:
        return f"it answered {response.status} to a request without Upgrade"
    coding = response.headers.get("transfer-encoding", "chunked")
    if coding.strip().lower() != "chunked":
        # http.client would take the coded bytes for the body.
        return "its answer has a transfer coding other than chunked"
    return ""


class _Body:
    """The body of an answer as it arrives. close() gives the connection back, or ends it in mid-answer."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._response.read1(PIECE_BYTES):
            yield piece

    def close(self) -> None:
        # A whole answer has given its connection back already, and these do nothing.
        self._response.close()
        self._response.release_conn()


def _pieces(environ: WSGIEnvironment) -> Iterator[bytes]:
    """The request body as it arrives. Raises _BodyFault, also when it ends before its length."""
    body = environ["wsgi.input"]
    read = getattr(body, "read1", body.read)
    has_length = bool(environ.get("CONTENT_LENGTH"))
    left = int(environ["CONTENT_LENGTH"]) if has_length else PIECE_BYTES
    while left > 0:
        try:
            piece = read(min(PIECE_BYTES, left))
        except Exception as error:
            raise _BodyFault(error) from error
        if not piece:
            if has_length:
                raise _BodyFault(OSError(f"the request body ends {left} bytes before its length"))
            return
        left -= len(piece) if has_length else 0
        yield piece
