"""What proxies write about the request they pass on: X-Forwarded-* and Forwarded (RFC 7239). Pure text.

Everything is read from the right: the last part is the word of the proxy that connected to us, and what
stands left of it is only as good as the proxy that wrote the part after it.
"""

from __future__ import annotations

import re

from .networks import parse_ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .networks import Networks

    # (address, port or "") of a client; None when a proxy says that it does not know, or hides it.
    Node = tuple[str, str]

# Hops looked at. A longer chain is no chain of proxies that anybody runs.
MAX_HOPS = 32

NAME_CHARS = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# Field values hold visible characters, spaces, tabs and bytes above 0x7F (RFC 9110 section 5.5).
QUOTED = r'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
PAIR = re.compile(rf"({NAME_CHARS})=({NAME_CHARS}|{QUOTED})")

HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._~-]+)(?::(?P<port>[0-9]{1,5}))?")
PORT_AFTER_ADDRESS = re.compile(r"[0-9]{1,5}|_[0-9A-Za-z._-]+")

# What would make a prefix something else than a path below this host.
NOT_IN_PREFIX = re.compile(r"//|[\x00-\x1f\x7f\\?#]|(?:^|/)\.{1,2}(?:/|$)")


def environ_key(field: str) -> str:
    """The key of a request field in the environ (PEP 3333, environ Variables)."""
    return "HTTP_" + field.upper().replace("-", "_")


def parse_node(text: str) -> Node | None:
    """A node (RFC 7239 section 6), an address perhaps with a port; None for "unknown", "_name" and faults."""
    port = ""
    if text.startswith("["):
        text, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")) or ":" not in text:
            return None
        if rest:
            port = rest[1:]
            if not PORT_AFTER_ADDRESS.fullmatch(port):
                return None
    elif text.count(":") == 1:
        text, _colon, port = text.partition(":")
        if not PORT_AFTER_ADDRESS.fullmatch(port):
            return None
    address = parse_ip(text)
    if address is None:
        return None
    return str(address), "" if port.startswith("_") else port


def elements_from_the_right(value: str) -> Iterator[dict[str, str] | None]:
    """The elements of a Forwarded field, the last one first; None for what is none, and then no more.

    An element is the shortest text after a comma that is one: a quote that a client left open cannot swallow
    what a proxy wrote after it.
    """
    end = len(value)
    while end > 0:
        start = value.rfind(",", 0, end)
        element = _parse_element(value[start + 1 : end])
        while element is None and start >= 0:
            # The comma may stand inside of a quoted string.
            start = value.rfind(",", 0, start)
            element = _parse_element(value[start + 1 : end])
        yield element
        if element is None:
            return
        end = start


def _parse_element(text: str) -> dict[str, str] | None:
    """The pairs of one element by lower-case name (RFC 7239 section 4); None when it is none."""
    text = text.strip(" \t")
    pairs: dict[str, str] = {}
    at = 0
    while at < len(text):
        found = PAIR.match(text, at)
        if found is None:
            return None
        name, value = found[1].lower(), found[2]
        if name in pairs:
            return None
        pairs[name] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
        at = found.end()
        if at < len(text):
            if text[at] != ";":
                return None
            at += 1
    return pairs


def client_of_list(value: str, trusted: Networks) -> Node | None:
    """Who the client is by X-Forwarded-For: the first node from the right that is no trusted proxy.

    When all are trusted, it is the leftmost. None when a proxy passes on what is no address.
    """
    node: Node | None = None
    for text in reversed(value.split(",")[-MAX_HOPS:]):
        node = parse_node(text.strip(" \t"))
        if node is None or node[0] not in trusted:
            return node
    return node


def client_of_elements(value: str, trusted: Networks) -> tuple[Node | None, dict[str, str]]:
    """Who the client is by Forwarded, and what its proxies say of host and proto.

    The proxy nearest to the client has the last word about them: it alone has seen the client's own request.
    """
    told: dict[str, str] = {}
    node: Node | None = None
    for hop, element in enumerate(elements_from_the_right(value)):
        if element is None:
            return None, told
        told.update({name: element[name] for name in ("host", "proto") if name in element})
        node = parse_node(element.get("for", ""))
        if node is None or node[0] not in trusted or hop + 1 == MAX_HOPS:
            return node, told
    return node, told


def last_of(value: str) -> str:
    """The last member of a list: what the proxy that connected to us wrote."""
    return value.rpartition(",")[2].strip(" \t")


def parse_host(text: str) -> tuple[str, str] | None:
    """(name, port or ""); None when it is no host of a URL."""
    found = HOST.fullmatch(text)
    if found is None or int(found["port"] or 0) > 65535:
        return None
    return found["name"], found["port"] or ""


def parse_port(text: str) -> str | None:
    """A port number from 1 to 65535, as text without leading zeros."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= 65535):
        return None
    return str(int(text))


def parse_prefix(text: str) -> str | None:
    """A path to stand before SCRIPT_NAME, decoded, without a "/" at its end; None when it is not plain."""
    from urllib.parse import unquote

    path = unquote(text, "latin-1").rstrip("/")
    if not path:
        return ""
    return path if path.startswith("/") and not NOT_IN_PREFIX.search(path) else None
