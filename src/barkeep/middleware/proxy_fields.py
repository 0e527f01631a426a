"""Header fields on their way through a proxy: those of one hop stay behind, its own are added."""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import quote

from .fields import members
from .forwarded import ALWAYS_REMOVED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import WSGIEnvironment

    from .fields import Headers
    from .upstream import Upstream

# Fields about one connection (RFC 9110 sections 7.6.1, 10.1.4 and 11.7; RFC 9112 section 6.1).
HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
# Expect has been answered by the server in front (RFC 9110 section 10.1.1).
NOT_PASSED_ON = HOP_BY_HOP | frozenset(
    ("expect", "host", "content-length", "content-type", "max-forwards", *ALWAYS_REMOVED)
)

FOLD = re.compile(r"[ \t]*\r?\n[ \t]+")


def has_body(environ: WSGIEnvironment) -> bool:
    """Whether the request has one, by its head."""
    return environ.get("CONTENT_LENGTH", "") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ


def request_fields(environ: WSGIEnvironment) -> Headers:
    """The fields of the request that go on to the next hop."""
    dropped = NOT_PASSED_ON | {name.lower() for name in members(environ.get("HTTP_CONNECTION", ""))}
    found = [
        (key[5:].replace("_", "-").lower(), value)
        for key, value in environ.items()
        if key.startswith("HTTP_")
    ]
    fields = [(name, value) for name, value in found if name not in dropped]
    if environ.get("CONTENT_TYPE"):
        fields.append(("content-type", environ["CONTENT_TYPE"]))
    # A length of 0 is worth saying for POST (RFC 9110 section 8.6).
    if environ.get("CONTENT_LENGTH"):
        fields.append(("content-length", environ["CONTENT_LENGTH"]))
    elif "HTTP_TRANSFER_ENCODING" in environ:
        fields.append(("transfer-encoding", "chunked"))
    return fields


def x_forwarded(environ: WSGIEnvironment, prefix: str) -> Headers:
    """X-Forwarded fields, set anew: what the client wrote there is nobody's word."""
    fields = [
        ("x-forwarded-for", environ.get("REMOTE_ADDR") or "unknown"),
        ("x-forwarded-proto", environ["wsgi.url_scheme"]),
        ("x-forwarded-port", environ["SERVER_PORT"]),
    ]
    if environ.get("HTTP_HOST"):
        fields.append(("x-forwarded-host", environ["HTTP_HOST"]))
    if mounted := public_prefix(environ, prefix):
        fields.append(("x-forwarded-prefix", mounted))
    return fields


def forwarded(environ: WSGIEnvironment, _prefix: str) -> Headers:
    """One Forwarded field with one element (RFC 7239 section 4)."""
    address = environ.get("REMOTE_ADDR") or "unknown"
    node = f'"[{address}]"' if ":" in address else address
    element = f"for={node};proto={environ['wsgi.url_scheme']}"
    if host := environ.get("HTTP_HOST"):
        escaped = host.replace("\\", "\\\\").replace('"', '\\"')
        element += f';host="{escaped}"'
    return [("forwarded", element)]


def public_prefix(environ: WSGIEnvironment, prefix: str) -> str:
    """The path as clients see it that is mounted."""
    return quote(environ.get("SCRIPT_NAME", "").encode("latin-1")) + prefix


def via(environ: WSGIEnvironment, pseudonym: str) -> tuple[str, str]:
    """The Via field with ourselves at its end (RFC 9110 section 7.6.3)."""
    version = environ.get("SERVER_PROTOCOL", "HTTP/1.1").partition("/")[2]
    return "via", ", ".join([*members(environ.get("HTTP_VIA", "")), f"{version} {pseudonym}"])


def was_here(environ: WSGIEnvironment, pseudonym: str) -> bool:
    """Whether the request has come through this proxy before: it goes in a circle."""
    names = [member.split()[1:2] for member in members(environ.get("HTTP_VIA", ""))]
    return [pseudonym] in names


def response_head(status: int, reason: str, headers: Iterable[tuple[str, str]]) -> tuple[str, Headers]:
    """Status and fields of the upstream's answer, as PEP 3333 has them, without the hop-by-hop ones."""
    # A folded value goes on in one line (RFC 9112 section 5.2).
    found = [(name, FOLD.sub(" ", value)) for name, value in headers]
    dropped = HOP_BY_HOP | set(_named_by_connection(found))
    if any(name.lower() == "transfer-encoding" for name, _value in found):
        # It stands above a length, which may be anything then (RFC 9112 section 6.3).
        dropped |= {"content-length"}
    kept = [(name, value) for name, value in found if name.lower() not in dropped]
    phrase = reason.strip()
    if not phrase:
        phrase = HTTPStatus(status).phrase if status in list(HTTPStatus) else "Unknown"
    return f"{status} {phrase}", kept


def _named_by_connection(headers: Headers) -> Iterable[str]:
    for name, value in headers:
        if name.lower() == "connection":
            yield from (member.lower() for member in members(value))


def public_location(location: str, upstream: Upstream, mounted: str) -> str:
    """A Location of the upstream as the client has to see it; unchanged where it leads elsewhere.

    mounted: the path as clients see it. A path that begins with it comes from an upstream that knows of it,
    from X-Forwarded-Prefix or its own settings.
    """
    path = location
    if location.lower().startswith(upstream.origin):
        path = location[len(upstream.origin) :] or "/"
    if not path.startswith("/") or path.startswith("//"):
        return location
    if path == location and mounted and _is_below(path, mounted):
        return location
    if not _is_below(path, upstream.base):
        return location
    return mounted + path[len(upstream.base) :] or "/"


def _is_below(path: str, base: str) -> bool:
    return path.startswith(base) and path[len(base) : len(base) + 1] in ("", "/", "?", "#")
