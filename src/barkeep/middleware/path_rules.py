"""Which requests a middleware is for: `paths` that it covers, and `except_paths` that it leaves alone."""

from __future__ import annotations

import re

from .option_kinds import texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import WSGIEnvironment

    from ..setting import Kind

# What an application may take for another path than it looks: "/public/../admin", "//admin", "/a\..\b".
NOT_PLAIN = re.compile(r"//|\\|\x00|(?:^|/)\.{1,2}(?:/|$)")


def path_list() -> Kind[tuple[str, ...]]:
    """Paths as clients see them: with "/" at its end all below it, otherwise that path alone."""

    def is_path(text: str) -> bool:
        return text.startswith("/") and not any(mark in text for mark in "?#%") and not NOT_PLAIN.search(text)

    return texts("paths such as /health, or /static/ for all below it", is_path)


def path_rule(
    paths: tuple[str, ...], except_paths: tuple[str, ...]
) -> Callable[[WSGIEnvironment], bool] | None:
    """Whether a request is covered; None when every one is.

    A path that is not plain is always covered: whoever writes it may not slip out that way.
    """
    if not paths and not except_paths:
        return None
    covers = _matcher(paths) if paths else None
    excepts = _matcher(except_paths)

    def is_covered(environ: WSGIEnvironment) -> bool:
        # PEP 3333 has bytes in str; what operators write is UTF-8.
        path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1")
        text = path.decode("utf-8", "replace")
        if covers is not None and not covers(text):
            return NOT_PLAIN.search(text) is not None
        return not excepts(text) or NOT_PLAIN.search(text) is not None

    return is_covered


def _matcher(paths: tuple[str, ...]) -> Callable[[str], bool]:
    alone = frozenset(path for path in paths if not path.endswith("/"))
    below = tuple(path for path in paths if path.endswith("/"))
    return lambda path: path in alone or path.startswith(below)
