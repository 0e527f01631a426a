"""Preconditions and ranges of a request, judged against one file (RFC 9110 sections 13 and 14). Pure."""

from __future__ import annotations

import itertools
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    # First and last byte, both included.
    ByteRange = tuple[int, int]

# More ranges than any video player or PDF reader asks for: the rest is an attack (section 17.15).
MAX_RANGES = 10

ONE_RANGE = re.compile(r"[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.ASCII)
ETAGS = re.compile(r'[ \t]*(W/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?:,|$)')


def precondition_status(environ: WSGIEnvironment, etag: str, modified_s: int) -> str:
    """The status that the preconditions ask for, in the order of section 13.2.2; "" to go on."""
    if "HTTP_IF_MATCH" in environ:
        if not _etag_matches(environ["HTTP_IF_MATCH"], etag, is_strong=True):
            return "412 Precondition Failed"
    elif "HTTP_IF_UNMODIFIED_SINCE" in environ:
        since_s = _date(environ["HTTP_IF_UNMODIFIED_SINCE"])
        if since_s is not None and modified_s > since_s:
            return "412 Precondition Failed"
    if "HTTP_IF_NONE_MATCH" in environ:
        if _etag_matches(environ["HTTP_IF_NONE_MATCH"], etag, is_strong=False):
            return "304 Not Modified"
    elif "HTTP_IF_MODIFIED_SINCE" in environ:
        since_s = _date(environ["HTTP_IF_MODIFIED_SINCE"])
        if since_s is not None and modified_s <= since_s:
            return "304 Not Modified"
    return ""


def if_range_holds(condition: str, etag: str, modified_s: int) -> bool:
    """Whether the client's part is of this very file, so that a range completes it (section 13.1.5)."""
    if not condition:
        return True
    if condition.lstrip().startswith(('"', "W/")):
        # A weak one never holds: parts of different bytes must not be joined.
        return condition.strip() == etag
    return _date(condition) == modified_s


def parse_ranges(text: str, size_bytes: int) -> list[ByteRange] | None:
    """The ranges that the file has, in the order asked for; empty for 416; None to ignore the field.

    Ignored are other units, broken grammar, and ranges that overlap or are too many: the whole file is a
    right answer to any Range (section 14.2).
    """
    unit, equals, list_text = text.partition("=")
    if unit.strip().lower() != "bytes" or not equals:
        return None
    parts = [part for part in list_text.split(",") if part.strip(" \t")]
    if not parts or len(parts) > MAX_RANGES:
        return None
    ranges = []
    for part in parts:
        found = ONE_RANGE.fullmatch(part)
        if found is None or found[0].strip(" \t") == "-":
            return None
        first, last = _bounds(found[1], found[2], size_bytes)
        if found[1] and found[2] and int(found[1]) > int(found[2]):
            return None
        if first <= last:
            ranges.append((first, last))
    in_order = sorted(ranges)
    if any(later[0] <= earlier[1] for earlier, later in itertools.pairwise(in_order)):
        return None
    return ranges


def _bounds(first: str, last: str, size_bytes: int) -> ByteRange:
    """First and last byte that are there; first > last when none is."""
    if not first:
        # The last so many bytes; of "-0" there are none.
        wanted_bytes = min(int(last), size_bytes)
        return (size_bytes - wanted_bytes, size_bytes - 1) if wanted_bytes else (1, 0)
    return int(first), min(int(last), size_bytes - 1) if last else size_bytes - 1


def _etag_matches(field: str, etag: str, is_strong: bool) -> bool:
    """Whether a list of entity tags has this strong one; "*" has any."""
    if field.strip(" \t") == "*":
        return True
    position = 0
    while found := ETAGS.match(field, position):
        if found[2] == etag and not (is_strong and found[1]):
            return True
        position = found.end()
    return False


def _date(text: str) -> int | None:
    """Seconds since 1970 of an HTTP date in any of its three forms (section 5.6.7); None for anything
    else."""
    # Imported when needed: email costs 10 ms.
    from email.utils import mktime_tz, parsedate_tz

    try:
        found = parsedate_tz(text)
        return None if found is None else mktime_tz(found)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
