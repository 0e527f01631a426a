"""Paths and hosts of requests, as middlewares compare them: prefixes end at a slash, hosts have no port."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

# Host = uri-host [ ":" port ] (RFC 9110 section 7.2): names, IPv4, and IPv6 in brackets.
HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?", re.ASCII)


def is_below(path: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a path is one of these or inside one: /a and /a/b are below /a, and /ab is not."""
    for prefix in prefixes:
        if path.startswith(prefix) and (
            path[len(prefix) : len(prefix) + 1] in ("", "/") or prefix[-1:] == "/"
        ):
            return True
    return False


def is_path(text: str) -> bool:
    """Whether a text is a path from the root, as settings take them."""
    return text.startswith("/") and text.isprintable()


def full_path(environ: WSGIEnvironment) -> str:
    """SCRIPT_NAME and PATH_INFO: the path from the host's root, decoded, in latin-1 as PEP 3333 has it."""
    path: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return path


def quoted_path(environ: WSGIEnvironment) -> str:
    """The path as it can stand in a URL, percent-encoded, never beginning with two slashes.

    "//host" would name another host (RFC 3986 section 4.2).
    """
    # Imported when needed: urllib.parse costs 2 ms.
    from urllib.parse import quote

    return "/" + quote(full_path(environ).encode("latin-1"), safe="/~:@!$&'()*+,;=").lstrip("/")


def host_and_port(environ: WSGIEnvironment) -> tuple[str, str] | None:
    """Host in lower case without a dot at its end, and port or "", of the Host field; None if unusable."""
    found = HOST.fullmatch(environ.get("HTTP_HOST", ""))
    if found is None:
        return None
    return found[1].lower().removesuffix("."), found[2] or ""
