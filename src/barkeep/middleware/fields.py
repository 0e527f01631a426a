"""Header fields in the form of PEP 3333: (name, value) in a list, names in any case."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Headers = list[tuple[str, str]]

# What RFC 9110 section 5.6.1 allows around the members of a list.
OPTIONAL_SPACE = " \t"


def field(headers: Headers, name: str) -> str | None:
    """The value of the first field with this lower-case name; None without one."""
    for found, value in headers:
        if found.lower() == name:
            return value
    return None


def list_of(headers: Headers, name: str) -> list[str]:
    """The members of all fields with this lower-case name, as one list (RFC 9110 section 5.3)."""
    return [member for found, value in headers if found.lower() == name for member in members(value)]


def members(value: str) -> Iterator[str]:
    """The members of a comma-separated value without quoted strings (RFC 9110 section 5.6.1)."""
    for member in value.split(","):
        if stripped := member.strip(OPTIONAL_SPACE):
            yield stripped


def without(headers: Headers, *names: str) -> Headers:
    """A copy without the fields of these lower-case names."""
    return [(found, value) for found, value in headers if found.lower() not in names]


def with_field(headers: Headers, name: str, value: str) -> Headers:
    """A copy in which this field stands once, at the end."""
    return [*without(headers, name.lower()), (name, value)]


def with_vary(headers: Headers, *names: str) -> Headers:
    """A copy whose Vary names these request fields too (RFC 9110 section 12.5.5); "*" stays alone."""
    values = [value for found, value in headers if found.lower() == "vary"]
    if not values:
        return [*headers, ("Vary", ", ".join(names))]
    there = [member for value in values for member in members(value)]
    if "*" in there:
        return list(headers)
    lowered = [member.lower() for member in there]
    added = [name for name in names if name.lower() not in lowered]
    if not added:
        return list(headers)
    return with_field(headers, "Vary", ", ".join(there + added))
