"""The bodies that browsers send: urlencoded forms, multipart forms with files, and JSON."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, TypeAlias

    Pairs: TypeAlias = Mapping[str, Any] | Iterable[tuple[str, Any]]
    # Content alone, or (file name, content), or (file name, content, content type).
    File: TypeAlias = bytes | tuple[str, bytes] | tuple[str, bytes, str]

# Found in no content: a test's files are the test's own.
BOUNDARY = "----barkeep-testing-boundary-7MA4YWxkTrZu0gW"


def encode_query(pairs: Pairs) -> str:
    """Names and values as a query; a list as value repeats its name."""
    from urllib.parse import urlencode

    return urlencode(list(each_pair(pairs)))


def encode_form(pairs: Pairs) -> tuple[str, bytes]:
    """(content type, body) of a form without files."""
    return "application/x-www-form-urlencoded", encode_query(pairs).encode("ascii")


def encode_json(value: object) -> tuple[str, bytes]:
    """(content type, body) of a value as JSON."""
    import json

    return "application/json", json.dumps(value).encode("utf-8")


def encode_multipart(pairs: Pairs, files: Mapping[str, File]) -> tuple[str, bytes]:
    """(content type, body) of a form with files (RFC 7578). Raises ValueError when the boundary is in one."""
    parts: list[bytes] = []
    for name, value in each_pair(pairs):
        head = f'Content-Disposition: form-data; name="{_quoted(name)}"'
        parts.append(_part(head, str(value).encode("utf-8")))
    for name, file in files.items():
        file_name, content, content_type = _parts_of(name, file)
        if BOUNDARY.encode() in content:
            raise ValueError(f'the file "{name}" has the boundary in it')
        head = (
            f'Content-Disposition: form-data; name="{_quoted(name)}"; filename="{_quoted(file_name)}"\r\n'
            f"Content-Type: {content_type}"
        )
        parts.append(_part(head, content))
    return f"multipart/form-data; boundary={BOUNDARY}", b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def each_pair(pairs: Pairs) -> Iterable[tuple[str, str]]:
    """Every name with every value of its own, as str."""
    from collections.abc import Mapping

    for name, value in pairs.items() if isinstance(pairs, Mapping) else pairs:
        for single in value if isinstance(value, (list, tuple)) else [value]:
            yield name, str(single)


def _part(head: str, content: bytes) -> bytes:
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n"


def _parts_of(name: str, file: File) -> tuple[str, bytes, str]:
    if isinstance(file, bytes):
        return name, file, "application/octet-stream"
    if len(file) == 2:
        return file[0], file[1], _type_of(file[0])
    return file


def _type_of(file_name: str) -> str:
    from mimetypes import guess_type

    return guess_type(file_name)[0] or "application/octet-stream"


def _quoted(text: str) -> str:
    # As browsers do (HTML, multipart/form-data encoding algorithm).
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
