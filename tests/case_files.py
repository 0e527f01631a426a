"""Reads the raw request cases of tests/cases; the format is told in tests/cases/README.md."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

CASES = Path(__file__).parent / "cases"

ESCAPE = re.compile(r"\\(?:([rnt\\])|x([0-9a-fA-F]{2})|\{([0-9]+):([^}]*)\})")
LETTERS = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\"}


@dataclass
class ExpectedRequest:
    """A request whose head is accepted; facts that the case does not tell are None or empty."""

    line: bytes
    facts: dict[str, bytes] = field(default_factory=dict)
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)

    @property
    def method(self) -> str:
        """The method, as the reader of answers needs it."""
        return self.line.split(b" ", 1)[0].decode("latin-1")


@dataclass(frozen=True)
class Case:
    """One file. ends: "idle", "close", "need-more head", "need-more body" or "refused STATUS Name"."""

    name: str
    requests: tuple[ExpectedRequest, ...]
    ends: str
    data: bytes

    @property
    def refusal_status(self) -> int | None:
        """The status it is refused with, if it is."""
        return int(self.ends.split()[1]) if self.ends.startswith("refused") else None


def read_cases() -> list[Case]:
    """Every case, by name."""
    return [_read_case(path) for path in sorted(CASES.glob("*.http"))]


def unescape(text: str) -> bytes:
    """The bytes that a text of a case stands for."""
    data, position = b"", 0
    for escape in ESCAPE.finditer(text):
        data += text[position : escape.start()].encode()
        position = escape.end()
        letter, hexadecimal, count, repeated = escape.groups()
        if letter:
            data += LETTERS[letter]
        elif hexadecimal:
            data += bytes([int(hexadecimal, 16)])
        else:
            data += unescape(repeated) * int(count)
    return data + text[position:].encode()


def _read_case(path: Path) -> Case:
    header, _, data = path.read_text(encoding="utf-8").partition("\n\n")
    requests: list[ExpectedRequest] = []
    ends = ""
    for line in header.split("\n"):
        if line.startswith("#"):
            continue
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if key == "request":
            requests.append(ExpectedRequest(unescape(value)))
        elif key == "ends":
            ends = value
        elif key == "field":
            name, _, content = value.partition(":")
            requests[-1].fields.append((unescape(name), unescape(content.removeprefix(" "))))
        else:
            requests[-1].facts[key] = unescape(value)
    assert ends, path.name
    return Case(path.name.removesuffix(".http"), tuple(requests), ends, unescape(data.replace("\n", "")))
