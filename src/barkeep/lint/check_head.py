"""What lint says about a status and header fields: pure, each fault as (code, what was seen)."""

from __future__ import annotations

import re

from .record import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Fault = tuple[str, str]

STATUS = re.compile(r"[0-9]{3} [^\x00-\x1f\x7f]*")
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
USUAL_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")
# A tab may stand within a value (RFC 9110, 5.5), but PEP 3333 allows no control character at all.
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
DIGITS = re.compile(r"[0-9]+")

HOP_BY_HOP = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
    ]
)

# Fields with one value, which no list may join.
ONCE = frozenset(
    [
        "age",
        "content-disposition",
        "content-location",
        "content-range",
        "content-type",
        "date",
        "etag",
        "expires",
        "last-modified",
        "location",
        "retry-after",
        "server",
        "strict-transport-security",
    ]
)

# Status -> fields of which one must be there (RFC 9110, section 15).
NEEDED = {
    206: ("content-range", "content-type"),
    301: ("location",),
    302: ("location",),
    303: ("location",),
    307: ("location",),
    308: ("location",),
    401: ("www-authenticate",),
    405: ("allow",),
    407: ("proxy-authenticate",),
    416: ("content-range",),
    426: ("upgrade",),
}

BODILESS = (204, 304)


def status_code_of(status: object) -> int:
    """The three digits; 0 when there are none."""
    return int(status[:3]) if isinstance(status, str) and DIGITS.fullmatch(status[:3]) else 0


def check_status(status: object) -> Iterator[Fault]:
    """Faults of the first argument of start_response."""
    if type(status) is not str:
        yield "BK104", f"the status is {show(status)}, of type {type(status).__name__}"
        return
    if not STATUS.fullmatch(status) or status != status.strip() + (" " if len(status) == 4 else ""):
        yield "BK105", f"the status is {show(status)}"
    elif not 200 <= status_code_of(status) <= 599:
        yield "BK106", f"the status is {show(status)}"
    if not _is_latin_1(status):
        yield "BK114", f"the status is {show(status)}"


def check_fields(headers: object) -> Iterator[Fault]:
    """Faults of the second argument, field by field."""
    if type(headers) is not list:
        yield "BK107", f"the fields are of type {type(headers).__name__}: {show(headers)}"
    if not isinstance(headers, (list, tuple)):
        return
    for field in headers:
        if type(field) is not tuple or len(field) != 2:
            yield "BK108", f"a field is {show(field)}, of type {type(field).__name__}"
            continue
        name, value = field
        yield from _check_name(name)
        yield from _check_value(name, value)


def check_whole(status: object, headers: object) -> Iterator[Fault]:
    """Faults of status and fields together."""
    code = status_code_of(status)
    fields = well_formed(headers)
    names = [name.lower() for name, _value in fields]
    if code in BODILESS:
        if "content-type" in names:
            yield "BK118", f"{code} with Content-Type"
    elif "content-type" not in names and isinstance(headers, list):
        yield "BK117", f"{show(status)} without Content-Type"
    lengths = [value for name, value in fields if name.lower() == "content-length"]
    if len(lengths) > 1 or not all(DIGITS.fullmatch(length) for length in lengths):
        yield "BK119", f"Content-Length is {', '.join(map(show, lengths))}"
    if lengths and code == 204:
        yield "BK128", f"204 with Content-Length {show(lengths[0])}"
    for name in sorted(set(names) & ONCE):
        if names.count(name) > 1:
            yield "BK120", f"{name} is there {names.count(name)} times"
    # Who passes on another server's answer, and says so, passes on when and by whom it was made.
    for name in sorted({"date", "server"} & set(names)) if "via" not in names else ():
        yield "BK127", f"{name} is among the fields"
    needed = NEEDED.get(code)
    if needed and not set(needed) & set(names):
        yield "BK126", f"{code} without {' or '.join(needed)}"
    if code == 206 and "content-range" not in names and "multipart/byteranges" not in _type_of(fields):
        yield "BK126", "206 without content-range, and not multipart/byteranges"


def well_formed(headers: object) -> list[tuple[str, str]]:
    """The fields that are pairs of str, as far as there are any."""
    if not isinstance(headers, (list, tuple)):
        return []
    pairs = [field for field in headers if isinstance(field, tuple) and len(field) == 2]
    return [(name, value) for name, value in pairs if isinstance(name, str) and isinstance(value, str)]


def content_length_of(headers: object) -> int | None:
    """The announced length in bytes; None when there is not exactly one."""
    lengths = {value for name, value in well_formed(headers) if name.lower() == "content-length"}
    if len(lengths) != 1:
        return None
    length = lengths.pop()
    return int(length) if DIGITS.fullmatch(length) else None


def check_exc_info(exc_info: object) -> Iterator[Fault]:
    """Faults of the third argument."""
    if exc_info is None:
        return
    if type(exc_info) is not tuple or len(exc_info) != 3:
        yield "BK121", f"exc_info is {show(exc_info)}, of type {type(exc_info).__name__}"
    elif not isinstance(exc_info[1], BaseException):
        yield "BK121", f"exc_info is {show(exc_info)}: no error was being handled"


def _check_name(name: object) -> Iterator[Fault]:
    if type(name) is not str:
        yield "BK109", f"a field's name is {show(name)}, of type {type(name).__name__}"
        return
    if not _is_latin_1(name):
        yield "BK114", f"a field's name is {show(name)}"
    elif not TOKEN.fullmatch(name):
        yield "BK110", f"a field's name is {show(name)}"
    elif not USUAL_NAME.fullmatch(name):
        yield "BK111", f"a field's name is {show(name)}"
    if name.lower() in HOP_BY_HOP:
        yield "BK115", f"{name} is among the fields"
    if name.lower() == "status":
        yield "BK116", f"{name} is among the fields"


def _check_value(name: object, value: object) -> Iterator[Fault]:
    if type(value) is not str:
        yield "BK109", f"the value of {show(name)} is {show(value)}, of type {type(value).__name__}"
        return
    if CONTROL.search(value):
        yield "BK112", f"the value of {show(name)} is {show(value)}"
    elif value != value.strip(" \t"):
        yield "BK113", f"the value of {show(name)} is {show(value)}"
    if not _is_latin_1(value):
        yield "BK114", f"the value of {show(name)} is {show(value)}"


def _type_of(fields: list[tuple[str, str]]) -> str:
    return next((value.lower() for name, value in fields if name.lower() == "content-type"), "")


def _is_latin_1(text: str) -> bool:
    return all(character <= "\xff" for character in text)
