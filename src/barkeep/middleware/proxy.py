"""Proxy: pass paths on to other HTTP servers, with both bodies streamed, over connections that are kept."""

from __future__ import annotations

import hashlib
import socket
import ssl

from ..setting_kinds import choice, duration, plain_text, whole_number
from .base import Middleware, Option
from .libraries import library
from .proxy_hop import Hop
from .upstream import DOT_SEGMENT, find_mount, mounts_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from .upstream import Upstream

# Seconds an idle connection is kept: below the 5 s after which Node.js, uvicorn and others close theirs.
KEEP_ALIVE_S = 4.0


class Proxy(Middleware):
    """Pass requests below some paths on to upstream servers; the application gets the others."""

    shorthand = "mounts"

    mounts = Option(mounts_kind(), help="paths, and the upstream of each: an http, https or unix: address")
    host = Option(
        choice("upstream", "client"),
        default="upstream",
        help="the Host field the upstream gets: its own address, or what the client sent",
    )
    forwarded = Option(
        choice("x-forwarded", "forwarded", "off"),
        default="x-forwarded",
        help="how the upstream is told about the client; what clients send of this kind is never passed on",
    )
    connect_timeout = Option(
        duration(0.01, 300.0), default=5.0, help="longest wait for a connection, a free one or a new one"
    )
    timeout = Option(
        duration(0.01, 86_400.0),
        default=60.0,
        help="longest wait for the upstream to take or to send something",
    )
    connections = Option(whole_number(1, 10_000), default=100, help="most connections to each upstream")
    retries = Option(
        whole_number(0, 10),
        default=1,
        help="how often a request is sent again that is idempotent, has no body and got no answer",
    )
    name = Option(
        plain_text(
            "a token for the Via field",
        ),
        default="",
        help="what this proxy is called in Via fields, to find loops; empty for a name from host and mounts",
    )

    def check(self) -> None:
        """Raises SettingError when the library is missing, or a path or the name cannot be used."""
        self._http = library("httpcore", "proxy", "Proxy")
        for prefix, _upstream in self.mounts:
            if "%" in prefix or DOT_SEGMENT.search(prefix):
                raise self.fault("mounts", f'must be paths without escapes and "..", found {prefix!a}.')
        if not self.name.replace("-", "").replace(".", "").isalnum() and self.name:
            raise self.fault("name", 'must be letters, digits, "." and "-".')

    def wrap(self, application: WSGIApplication) -> WSGIApplication:
        """The application with the upstreams mounted before it. Idle connections end with the process."""
        hops = {upstream: self._hop(upstream) for _prefix, upstream in self.mounts}
        mounts = self.mounts

        def proxied(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            mount = find_mount(mounts, environ.get("PATH_INFO", ""))
            if mount is None:
                return application(environ, start_response)
            prefix, upstream = mount
            return hops[upstream].answer(environ, start_response, prefix)

        return proxied

    def _hop(self, upstream: Upstream) -> Hop:
        context = ssl.create_default_context() if upstream.scheme == "https" else None
        pool = self._http.ConnectionPool(
            ssl_context=context,
            max_connections=self.connections,
            keepalive_expiry=KEEP_ALIVE_S,
            uds=upstream.socket or None,
        )
        return Hop(self, self._http, upstream, pool)

    def pseudonym(self) -> str:
        """The name in Via: the same in all worker processes, another on another host or with other mounts."""
        if self.name:
            return self.name
        told = f"{socket.gethostname()} {type(self).mounts.kind.show(self.mounts)}"
        return "barkeep-" + hashlib.blake2b(told.encode(), digest_size=6).hexdigest()
