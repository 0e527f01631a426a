"""Kinds of value that only middlewares take: lists of texts, functions, things that may be off."""

from __future__ import annotations

from ..setting import Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")


def texts(what: str, is_allowed: Callable[[str], bool] = str.isprintable) -> Kind[tuple[str, ...]]:
    """A list of texts, or one text with "," between them. what: as in "names of hosts"."""

    def read(found: object) -> tuple[str, ...]:
        if isinstance(found, str):
            found = [part.strip(" ") for part in found.split(",")] if found else []
        if not isinstance(found, (list, tuple)) or not all(isinstance(text, str) for text in found):
            raise ValueError
        for text in found:
            if not text or not is_allowed(text):
                raise ValueError(f"{text!a} is none")
        return tuple(found)

    return Kind(what, "TEXT", read, ",".join, is_list=True)


def none_or(kind: Kind[T]) -> Kind[T | None]:
    """What `kind` takes, or off (None)."""

    def read(found: object) -> T | None:
        return None if found is None or found == "off" or found is False else kind.read(found)

    def show(value: T | None) -> str:
        return "off" if value is None else kind.show(value)

    return Kind(f"{kind.allowed}, or off", f"{kind.metavar}|off", read, show, is_list=kind.is_list)


def function_or(kind: Kind[T], what: str) -> Kind[T | Callable[..., Any]]:
    """What `kind` takes, or a callable of Python. what: as in "a function (environ) -> str"."""

    def read(found: object) -> T | Callable[..., Any]:
        return found if callable(found) else kind.read(found)

    def show(value: T | Callable[..., Any]) -> str:
        return getattr(value, "__qualname__", repr(value)) if callable(value) else kind.show(value)

    return Kind(f"{kind.allowed}, or {what}", kind.metavar, read, show, is_list=kind.is_list)


def by_prefix(what: str, kind: Kind[T], metavar: str) -> Kind[tuple[tuple[str, T], ...]]:
    """Values by path prefix: a table, a list of texts such as /files=VALUE, or one text with "," between
    them.

    The longest prefix comes first, so that the first that fits is the right one.
    """

    def read(found: object) -> tuple[tuple[str, T], ...]:
        if isinstance(found, str):
            found = found.split(",")
        if isinstance(found, (list, tuple)):
            found = dict(_pair(text) for text in found)
        if not isinstance(found, dict):
            raise ValueError  # noqa: TRY004 - a kind tells any fault of a value by ValueError
        for prefix in found:
            if not isinstance(prefix, str) or not prefix.startswith("/") or "//" in prefix:
                raise ValueError(f"{prefix!a} is no path")
        pairs = [(prefix.rstrip("/"), kind.read(value)) for prefix, value in found.items()]
        return tuple(sorted(pairs, key=lambda pair: -len(pair[0])))

    def show(value: tuple[tuple[str, T], ...]) -> str:
        return ",".join(f"{prefix or '/'}={kind.show(inner)}" for prefix, inner in value)

    return Kind(what, metavar, read, show, is_list=True)


def _pair(text: object) -> tuple[str, str]:
    if not isinstance(text, str) or "=" not in text:
        raise ValueError
    prefix, _equals, value = text.strip(" ").partition("=")
    return prefix, value
