"""Content codings: which one a client prefers (RFC 9110 section 12.5.3), and compressors that flush each
chunk."""

from __future__ import annotations

import functools
import importlib
import re
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    # (bytes) -> bytes, twice: all but the end of a chunk, and what ends it.
    Compressor = tuple[Callable[[bytes], bytes], Callable[[], bytes], Callable[[], bytes]]

# zlib: a gzip wrapper around the largest window.
GZIP_WINDOW_BITS = 31

# Accept-Encoding as sent, remembered for so many different texts. Browsers send a handful.
REMEMBERED_FIELDS = 512
# A longer field is no browser's: it is not remembered, so that peers cannot fill memory.
LONGEST_REMEMBERED_CHARS = 200

QVALUE = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.ASCII)

# Coding -> the libraries that can make it, best first. gzip is always there.
LIBRARIES = {
    "zstd": ("compression.zstd", "backports.zstd", "zstandard"),
    "br": ("brotli", "brotlicffi"),
    "gzip": ("zlib",),
}


def library_of(coding: str) -> Any:
    """The first library that is installed and makes this coding; None without one."""
    for name in LIBRARIES[coding]:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


def choose_coding(accepted: str | None, offered: tuple[str, ...]) -> str:
    """The coding to use: of those the client likes best, the first that is offered; "identity" for none.

    accepted: the Accept-Encoding field; None without one, which means that anything goes: then nothing is
    encoded.
    """
    if not accepted:
        return "identity"
    if len(accepted) > LONGEST_REMEMBERED_CHARS:
        return _choose(accepted, offered)
    return _choose_and_remember(accepted, offered)


def _choose(accepted: str, offered: tuple[str, ...]) -> str:
    weights = _weights(accepted)
    others = weights.get("*", 0.0)
    best, best_weight = "identity", 0.0
    for coding in offered:
        weight = weights.get(coding, others)
        if weight > best_weight:
            best, best_weight = coding, weight
    # identity is acceptable unless it is excluded; only where it is named can it be liked better than
    # another.
    return "identity" if weights.get("identity", 0.0) > best_weight else best


_choose_and_remember = functools.lru_cache(REMEMBERED_FIELDS)(_choose)


def _weights(accepted: str) -> dict[str, float]:
    """Coding -> its quality value. A member that breaks the grammar is left out, as if it were not wanted."""
    weights: dict[str, float] = {}
    for member in accepted.lower().split(","):
        coding, semicolon, parameter = member.partition(";")
        weight = 1.0
        if semicolon:
            name, _equals, text = parameter.strip(" \t").partition("=")
            if name.strip(" \t") != "q" or not QVALUE.fullmatch(text.strip(" \t")):
                continue
            weight = float(text)
        # RFC 9110 section 8.4.1.3: x-gzip is gzip.
        weights[coding.strip(" \t").removeprefix("x-")] = weight
    return weights


def compressor_maker(coding: str, level: int) -> Callable[[], Compressor]:
    """A function that makes a compressor for one answer: (compress, flush, finish).

    flush gives what makes all bytes so far readable; finish gives the end. The library must be there.
    """
    library = library_of(coding)
    if coding == "gzip":
        return functools.partial(_gzip, level)
    if coding == "br":
        return functools.partial(_brotli, library, level)
    if library.__name__ == "zstandard":
        return functools.partial(_zstandard, library, level)
    return functools.partial(_zstd, library, level)


def _gzip(level: int) -> Compressor:
    gzip = zlib.compressobj(level, zlib.DEFLATED, GZIP_WINDOW_BITS)
    return gzip.compress, functools.partial(gzip.flush, zlib.Z_SYNC_FLUSH), gzip.flush


def _brotli(library: Any, quality: int) -> Compressor:
    brotli = library.Compressor(quality=quality)
    return brotli.process, brotli.flush, brotli.finish


def _zstd(library: Any, level: int) -> Compressor:
    zstd = library.ZstdCompressor(level=level)
    return zstd.compress, functools.partial(zstd.flush, zstd.FLUSH_BLOCK), zstd.flush


def _zstandard(library: Any, level: int) -> Compressor:
    # One context per answer: contexts of this library may not be shared by threads.
    zstd = library.ZstdCompressor(level=level, write_content_size=False).compressobj()
    return zstd.compress, functools.partial(zstd.flush, library.COMPRESSOBJ_FLUSH_BLOCK), zstd.flush
