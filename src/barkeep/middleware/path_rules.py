"""Which requests a middleware is for: `paths` that it covers, and `except_paths` that it leaves alone."""

from __future__ import annotations

import re

from .option_kinds import texts
from .paths import full_path, is_below, is_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import WSGIEnvironment

    from ..setting import Kind

# What an application may take for another path than it looks: "/public/../admin", "//admin", "/a\..\b".
NOT_PLAIN = re.compile(r"//|\\|\x00|(?:^|/)\.{1,2}(?:/|$)")


def path_list() -> Kind[tuple[str, ...]]:
    """Paths as clients see them, decoded, each with all below it."""

    def is_plain(text: str) -> bool:
        return is_path(text) and not any(mark in text for mark in "?#%") and not NOT_PLAIN.search(text)

    return texts("paths such as /health, each with all below it", is_plain)


def path_rule(
    paths: tuple[str, ...], except_paths: tuple[str, ...]
) -> Callable[[WSGIEnvironment], bool] | None:
    """Whether a request is covered; None when every one is.

    A path that is not plain is always covered: whoever writes it may not slip out that way.
    """
    if not paths and not except_paths:
        return None
    # PEP 3333 has bytes in str; what operators write is UTF-8.
    covered, excepted = _as_environ(paths), _as_environ(except_paths)

    def is_covered(environ: WSGIEnvironment) -> bool:
        path = full_path(environ)
        if (covered and not is_below(path, covered)) or is_below(path, excepted):
            return NOT_PLAIN.search(path) is not None
        return True

    return is_covered


def _as_environ(paths: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(path.encode("utf-8").decode("latin-1") for path in paths)
