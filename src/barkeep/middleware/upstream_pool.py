"""Connections to one upstream, shared by all threads: urllib3, with unix sockets and interim answers.

Imported only when a Proxy is made: urllib3 comes with an extra.
"""

from __future__ import annotations

import email.errors
import http.client
import socket
import ssl
import time

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .upstream import Upstream

    Base = HTTPConnection
else:
    # A mixin when the program runs: it stands before HTTPConnection and before HTTPSConnection.
    Base = object

# Seconds an idle connection is kept: below the 5 s after which Node.js, uvicorn and others close theirs.
KEEP_ALIVE_S = 4.0


# How the email parser, which http.client uses, tells a line that is no field. All after it would be lost.
BROKEN_FIELDS = (
    email.errors.FirstHeaderLineIsContinuationDefect,
    email.errors.MisplacedEnvelopeHeaderDefect,
    email.errors.MissingHeaderBodySeparatorDefect,
)


class _FinalResponse(http.client.HTTPResponse):
    """An answer whose head is whole, and not an interim one."""

    def begin(self) -> None:
        """Read the head. Raises HTTPException for a line that is no header field."""
        super().begin()
        if any(isinstance(defect, BROKEN_FIELDS) for defect in self.headers.defects):
            raise http.client.HTTPException("a line of its head is no header field")

    def _read_status(self) -> tuple[str, int, str]:
        # Interim answers (RFC 9110 section 15.2): http.client skips 100 only, and not 103.
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 102 <= status <= 199:
                return version, status, reason
            http.client.parse_headers(self.fp)


class _Kept(Base):
    """What both kinds of connection do otherwise than urllib3's: see the methods."""

    response_class = _FinalResponse

    def __init__(self, *args: Any, socket_path: str, send_timeout_s: float, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._socket_path = socket_path
        self._send_timeout_s = send_timeout_s
        self._expires_at = float("inf")

    def connect(self) -> None:
        """A connection whose next sends have the timeout for sending, and not that for connecting."""
        super().connect()
        self.sock.settimeout(self._send_timeout_s)

    def request(self, *args: Any, **settings: Any) -> None:
        """As urllib3's, which would give the timeout for connecting to a connection that it has kept."""
        if self.sock is not None:
            self.timeout = self._send_timeout_s
        super().request(*args, **settings)

    def getresponse(self) -> Any:
        """The head of the answer; from here on the connection may be idle."""
        response = super().getresponse()
        self._expires_at = time.monotonic() + KEEP_ALIVE_S
        return response

    @property
    def is_connected(self) -> bool:
        """Whether it may be used again."""
        return time.monotonic() < self._expires_at and super().is_connected

    def close(self) -> None:
        """Closed, until the next request opens it again."""
        super().close()
        self._expires_at = float("inf")

    def _new_conn(self) -> socket.socket:
        if not self._socket_path:
            return super()._new_conn()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self.timeout)
            connection.connect(self._socket_path)
        except TimeoutError:
            connection.close()
            raise ConnectTimeoutError(self, f"{self._socket_path} did not accept in time") from None
        except OSError as error:
            connection.close()
            raise NewConnectionError(self, f"{self._socket_path}: {error}") from error
        return connection


class _Connection(_Kept, HTTPConnection):
    """Over TCP or a unix socket."""


class _TlsConnection(_Kept, HTTPSConnection):
    """Over TLS, with the certificate checked against those that the system trusts."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def make_pool(upstream: Upstream, connections: int, send_timeout_s: float) -> HTTPConnectionPool:
    """Up to so many connections to one upstream; nothing is connected yet.

    Any thread may use it. Idle connections are closed when it is collected, and at exit.
    """
    host = f"[{upstream.host}]" if ":" in upstream.host else upstream.host
    settings: dict[str, Any] = {
        "maxsize": connections,
        "block": True,
        "socket_path": upstream.socket,
        "send_timeout_s": send_timeout_s,
    }
    if upstream.scheme == "https":
        return _TlsPool(host, upstream.port, ssl_context=ssl.create_default_context(), **settings)
    return _Pool(host, upstream.port, **settings)
