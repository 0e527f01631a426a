"""The server that a mounted path is passed on to: how it is written, and which path is meant there."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes, urlsplit

from ..setting import Kind
from .option_kinds import by_prefix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    Mounts = tuple[tuple[str, "Upstream"], ...]

DEFAULT_PORTS = {"http": 80, "https": 443}

# Characters of a path that need no escape (RFC 3986 section 3.3).
PATH_SAFE = "/:@!$&'()*+,;=-._~"
PATH_CHARS = re.compile(r"(?:/[\x21\x24-\x3b\x3d\x40-\x5a\x5f\x61-\x7a\x7e]*)*")
RAW_PATH = re.compile(r"[\x21-\x22\x24-\x3e\x40-\x7e]*")

# Segments that would lead out of the mounted path, also as Tomcat ("..;") and Windows ("..\") read them.
DOT_SEGMENT = re.compile(r"(?:^|[/\\])\.{1,2}(?:[/\\;]|$)")


class Upstream:
    """One upstream: http://HOST:PORT/BASE, https://..., or unix:SOCKET with ":/BASE" after it.

    base: the path that stands for the mounted one, without a "/" at its end. socket: "" for TCP.
    """

    __slots__ = ("base", "host", "port", "scheme", "socket", "text")

    def __init__(self, text: str) -> None:
        """Raises ValueError that says what is wrong."""
        self.text = text
        if text.startswith("unix:"):
            self.socket, _colon, base = text.removeprefix("unix:").partition(":")
            self.scheme, self.host, self.port = "http", "localhost", 80
            if not self.socket.startswith("/"):
                raise ValueError("the path of a socket begins with /")
        else:
            parts = urlsplit(text)
            if parts.scheme not in DEFAULT_PORTS or not parts.hostname or not parts.hostname.isascii():
                raise ValueError("it begins with http://HOST, https://HOST or unix:PATH")
            if "@" in parts.netloc or "?" in text or "#" in text:
                raise ValueError("it has no user, query or fragment")
            self.socket, base = "", parts.path
            self.scheme, self.host = parts.scheme, parts.hostname
            self.port = parts.port or DEFAULT_PORTS[parts.scheme]
        if not PATH_CHARS.fullmatch(base) or DOT_SEGMENT.search(base):
            raise ValueError(f"{base!a} is no path")
        self.base = base.rstrip("/")

    @property
    def authority(self) -> str:
        """What its Host field says: the port only where it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """How URLs on it begin."""
        return f"{self.scheme}://{self.authority}"


def mounts_kind() -> Kind[Mounts]:
    """Paths and their upstreams, the longest first: a table, or texts such as /api=http://127.0.0.1:9000."""

    def read(found: object) -> Upstream:
        if not isinstance(found, str):
            raise ValueError  # noqa: TRY004 - a kind tells any fault of a value by ValueError
        try:
            return Upstream(found)
        except ValueError as error:
            raise ValueError(f"{found!a}: {error}") from None

    def show(upstream: Upstream) -> str:
        return upstream.text

    allowed = "paths and their upstreams, such as /api=http://127.0.0.1:9000/v2 or /=unix:/run/site.sock"
    return by_prefix(allowed, Kind("an address", "URL", read, show), "PATH=URL")


def find_mount(mounts: Mounts, path: str) -> tuple[str, Upstream] | None:
    """The mount that a PATH_INFO is below."""
    for mount in mounts:
        prefix = mount[0]
        if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/"):
            return mount
    return None


def target_of(environ: WSGIEnvironment, prefix: str, upstream: Upstream) -> str:
    """The target of the request to the upstream: its base, what follows the mounted path, and the query.

    The path goes as the client escaped it, where the server tells (REQUEST_URI): PATH_INFO has lost whether a
    "/" was sent as %2F.
    """
    script, path = environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", "")
    rest = quote(path[len(prefix) :].encode("latin-1"), safe=PATH_SAFE)
    raw: str = environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""
    raw_path = raw.partition("?")[0]
    mounted = script + prefix
    if raw_path.startswith(mounted) and RAW_PATH.fullmatch(raw_path):
        raw_rest = raw_path[len(mounted) :]
        if unquote_to_bytes(raw_rest).decode("latin-1") == path[len(prefix) :]:
            rest = raw_rest
    target = upstream.base + rest or "/"
    if not target.startswith("/"):
        target = "/" + target
    query = environ.get("QUERY_STRING", "")
    return f"{target}?{query}" if query else target
