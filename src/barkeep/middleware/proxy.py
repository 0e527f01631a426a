"""Proxy: pass paths on to other HTTP servers, with both bodies streamed, over connections that are kept."""

from __future__ import annotations

import hashlib
import socket

from ..setting_kinds import choice, duration, plain_text, whole_number
from .base import Middleware, Option
from .libraries import library
from .upstream import DOT_SEGMENT, find_mount, mounts_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


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
    via = Option(
        plain_text(
            "a token for the Via field",
        ),
        default="",
        help="what this proxy is called in Via fields, to find loops; empty for a name from host and mounts",
    )

    def check(self) -> None:
        """Raises SettingError when the library is missing, or a path or the name for Via cannot be used."""
        library("urllib3", "proxy", "Proxy")
        for prefix, _upstream in self.mounts:
            if "%" in prefix or DOT_SEGMENT.search(prefix):
                raise self.fault("mounts", f'must be paths without escapes and "..", found {prefix!a}.')
        if not self.via.replace("-", "").replace(".", "").isalnum() and self.via:
            raise self.fault("via", 'must be letters, digits, "." and "-".')

    def wrap(self, application: WSGIApplication) -> WSGIApplication:
        """The application with the upstreams mounted before it. Idle connections end with the process."""
        # Imports urllib3, which is there: check() has looked.
        from .proxy_hop import Hop

        hops = {upstream: Hop(self, upstream) for _prefix, upstream in self.mounts}
        mounts = self.mounts

        def proxied(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            mount = find_mount(mounts, environ.get("PATH_INFO", ""))
            if mount is None:
                return application(environ, start_response)
            prefix, upstream = mount
            return hops[upstream].answer(environ, start_response, prefix)

        return proxied

    def pseudonym(self) -> str:
        """The name in Via: the same in all worker processes, another on another host or with other mounts."""
        if self.via:
            return self.via
        told = f"{socket.gethostname()} {type(self).mounts.kind.show(self.mounts)}"
        return "barkeep-" + hashlib.blake2b(told.encode(), digest_size=6).hexdigest()
