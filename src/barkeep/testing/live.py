"""A real server for a test: the engine, on a free port, in threads of the test's process."""

from __future__ import annotations

from contextlib import contextmanager
from urllib.parse import urlsplit

from ..server import Server
from .raw_client import Client as RawClient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import WSGIApplication

# Requests may take so long to end when the test is over; what is left is aborted.
STOP_TIMEOUT_S = 5.0


class LiveServer:
    """A server that runs. Whoever starts it calls stop()."""

    def __init__(self, application: WSGIApplication, **settings: object) -> None:
        self.server = Server(application, **{"bind": "127.0.0.1:0", **settings})
        self.server.start()
        self.url = self.server.url
        self.urls = self.server.urls

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the first listener. Raises ValueError for a unix socket."""
        parts = urlsplit(self.url)
        if parts.hostname is None or parts.port is None:
            raise ValueError(f"{self.url} has no host and port")
        return parts.hostname, parts.port

    def connect(self) -> RawClient:
        """A connection for bytes, to be used in a `with`."""
        return RawClient(self.address)

    def stop(self, graceful_timeout: float = STOP_TIMEOUT_S) -> bool:
        """Stop, if it still runs; everything it logs is written when this returns. False: it had to abort."""
        return self.server.stop(graceful_timeout=graceful_timeout)


@contextmanager
def live_server(application: WSGIApplication, **settings: object) -> Iterator[LiveServer]:
    """`with live_server(application, threads=2) as server: server.url`; settings as for barkeep.Server."""
    running = LiveServer(application, **settings)
    try:
        yield running
    finally:
        running.stop()
