"""The kinds of lists settings take: addresses, directories, paths of requests, middlewares.

On the command line a flag is repeated, and in one text a separator stands between the members.
"""

from __future__ import annotations

from .addresses import Address, parse_address
from .setting import Kind
from .setting_kinds import duration, show_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    # A middleware as it was written: NAME[:TEXT], or a table with "name" and settings.
    PieceText = str | Mapping[str, object]


def addresses() -> Kind[tuple[Address, ...]]:
    """Addresses to listen on: a list, or one text with "," between them."""

    def read(found: object) -> tuple[Address, ...]:
        texts = [part.strip(" ") for text in _texts(found) for part in text.split(",")]
        if not texts:
            raise ValueError("the list is empty")
        return tuple(parse_address(text) for text in texts)

    def show(value: tuple[Address, ...]) -> str:
        return ",".join(str(address) for address in value)

    return Kind("HOST:PORT, :PORT, [IPV6]:PORT, unix:PATH or fd://N", "ADDRESS", read, show, is_list=True)


def optional_addresses() -> Kind[tuple[Address, ...]]:
    """As `addresses`, for a setting that has none by default."""
    some = addresses()
    return Kind(some.allowed, some.metavar, some.read, some.show, is_list=True)


def paths() -> Kind[tuple[str, ...]]:
    """Directories: a list, or one text with ":" between them."""

    def read(found: object) -> tuple[str, ...]:
        texts = [part for text in _texts(found) for part in text.split(":")]
        if not all(texts) or any("\0" in text for text in texts):
            raise ValueError
        return tuple(texts)

    return Kind('directories with ":" between them', "DIRECTORY", read, ":".join, is_list=True)


def url_paths() -> Kind[tuple[str, ...]]:
    """Paths of requests, with a query or without: a list, or one text with "," between them."""

    def read(found: object) -> tuple[str, ...]:
        texts = [part.strip(" ") for text in _texts(found) for part in text.split(",")]
        if not all(text.startswith("/") and text.isascii() and text.isprintable() for text in texts):
            raise ValueError
        if any(" " in text or "#" in text for text in texts):
            raise ValueError
        return tuple(texts)

    return Kind("paths such as /health", "PATH", read, ",".join, is_list=True)


def path_durations() -> Kind[tuple[tuple[str, float], ...]]:
    """Times by path prefix: texts such as /reports=5m, or a TOML table. The empty prefix is every path."""
    time = duration(0.0, 86_400.0)

    def read(found: object) -> tuple[tuple[str, float], ...]:
        if isinstance(found, dict):
            pairs = list(found.items())
        else:
            texts = [part.strip(" ") for text in _texts(found) for part in text.split(",")]
            pairs = [(prefix, text) for prefix, _equals, text in (text.rpartition("=") for text in texts)]
        if not all(isinstance(prefix, str) and prefix.startswith("/") for prefix, _time in pairs):
            raise ValueError
        return tuple((prefix, time.read(found_time)) for prefix, found_time in pairs)

    def show(value: tuple[tuple[str, float], ...]) -> str:
        return ",".join(f"{prefix}={show_duration(seconds)}" for prefix, seconds in value)

    return Kind("paths with times, such as /reports=5m", "PATH=TIME", read, show, is_list=True)


def middlewares() -> Kind[tuple[PieceText, ...]]:
    """Middlewares, outermost first: texts with "|" between them, or tables with their settings.

    What the names stand for is found out where the application is loaded: their code is not imported here.
    """

    def read(found: object) -> tuple[PieceText, ...]:
        if isinstance(found, (str, dict)):
            found = [found]
        if not isinstance(found, (list, tuple)):
            raise ValueError  # noqa: TRY004 - a kind tells any fault of a value by ValueError
        pieces: list[PieceText] = []
        for piece in found:
            if isinstance(piece, str):
                pieces += [text.strip(" ") for text in piece.split("|")]
            elif isinstance(piece, dict) and isinstance(piece.get("name"), str):
                pieces.append(piece)
            else:
                raise ValueError("a table needs a name")  # noqa: TRY004
        if not all(pieces):
            raise ValueError("a name is empty")
        return tuple(pieces)

    def show(value: tuple[PieceText, ...]) -> str:
        # Settings of a table may be secrets; `barkeep check` shows them piece by piece.
        return "|".join(piece if isinstance(piece, str) else str(piece["name"]) for piece in value)

    allowed = 'names such as compress, ratelimit:100/minute or module:Class, with "|" between them, or tables'
    return Kind(allowed, "NAME[:TEXT]", read, show, is_list=True)


def _texts(found: object) -> Sequence[str]:
    if isinstance(found, str):
        return [found]
    if isinstance(found, (list, tuple)) and all(isinstance(text, str) for text in found):
        return found
    raise ValueError
