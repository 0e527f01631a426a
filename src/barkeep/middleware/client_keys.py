"""What a limit is counted by: the client's address, a header, a cookie, the path, or what a function says."""

from __future__ import annotations

import functools
import hashlib
import ipaddress

from .forwarded_fields import environ_key
from .networks import parse_ip
from .option_kinds import function_or, texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any
    from wsgiref.types import WSGIEnvironment

    from ..setting import Kind

    # The key of a request; None for one that is not counted at all.
    KeyOf = Callable[[WSGIEnvironment], "str | None"]

# One customer line has at least 2^64 IPv6 addresses (RFC 6177), so a single one identifies nobody.
IPV6_PREFIX_BITS = 64

# Digests of what peers send: no key is long, none can pretend to be another, and no secret lies in a store.
DIGEST_BYTES = 12

WHOLE = "all"
SIMPLE = ("address", "path", WHOLE)


def key_kind() -> Kind[tuple[str, ...] | Callable[..., Any]]:
    """address, path, all, header:NAME, cookie:NAME; several are one key together; or a function."""

    def is_part(text: str) -> bool:
        kind, _colon, name = text.partition(":")
        return text in SIMPLE or (
            kind in ("header", "cookie") and name.isascii() and name.isprintable() and name != ""
        )

    parts = texts("address, path, all, header:NAME or cookie:NAME, several for one key of all", is_part)
    return function_or(parts, "a function (environ) -> text, or None not to count")


def key_function(parts: tuple[str, ...] | Callable[..., Any]) -> KeyOf:
    """The function that gives a request's key. A request without the header or cookie goes by its address."""
    if callable(parts):
        return _digested(parts)
    functions = [_part(part) for part in parts]
    if len(functions) == 1:
        return functions[0]
    return lambda environ: "|".join([function(environ) for function in functions])


def _part(part: str) -> Callable[[WSGIEnvironment], str]:
    kind, _colon, name = part.partition(":")
    if kind == WHOLE:
        return lambda environ: WHOLE
    if kind == "address":
        return address_key
    if kind == "path":
        return lambda environ: _digest(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""))
    if kind == "header":
        key = environ_key(name)
        return lambda environ: _digest(environ[key]) if environ.get(key) else address_key(environ)

    def cookie_key(environ: WSGIEnvironment) -> str:
        value = _cookie(environ.get("HTTP_COOKIE", ""), name)
        return _digest(value) if value else address_key(environ)

    return cookie_key


def _digested(function: Callable[..., Any]) -> KeyOf:
    def key(environ: WSGIEnvironment) -> str | None:
        found = function(environ)
        return None if found is None else _digest(str(found))

    return key


def address_key(environ: WSGIEnvironment) -> str:
    """REMOTE_ADDR as it is trusted; of IPv6 the network of one customer."""
    address: str = environ.get("REMOTE_ADDR", "")
    return _network_of(address) if ":" in address else address


@functools.lru_cache(4096)
def _network_of(address: str) -> str:
    ip = parse_ip(address)
    if not isinstance(ip, ipaddress.IPv6Address):
        return str(ip or address)
    return str(ipaddress.IPv6Network((ip, IPV6_PREFIX_BITS), strict=False))


def _cookie(field: str, name: str) -> str:
    for pair in field.split(";"):
        found, _equals, value = pair.strip(" ").partition("=")
        if found == name:
            return value
    return ""


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).hexdigest()
