"""Writes the parts of the pages about middlewares that are made from the source: `./dev check docs`.

They stand between <!-- NAME: begin --> and <!-- NAME: end -->; the rest is written by hand. A test compares.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from barkeep.middleware.base import REQUIRED
from barkeep.middleware.order import RECOMMENDED, RULES
from barkeep.middleware.registry import CLASSES, load_class

if TYPE_CHECKING:
    from barkeep.middleware.base import Middleware

HERE = Path(__file__).parent
PIECES = HERE / "reference" / "middleware"
HOW_TO = HERE / "how-to" / "middleware.md"


def pages() -> dict[Path, str]:
    """Each page with its made parts as the source has them now."""
    made = {}
    for class_name, module in CLASSES.items():
        if find_spec(f"barkeep.middleware.{module}") is None:
            continue
        page = PIECES / f"{module}.md"
        made[page] = _filled(page, "settings", _settings(load_class(class_name.lower())))
    order = "\n".join(f"{number}. {_link(name)}" for number, name in enumerate(RECOMMENDED, start=1))
    made[HOW_TO] = _filled(HOW_TO, "order", order)
    made[HOW_TO] = _replaced(made[HOW_TO], "rules", _rules())
    return made


def _settings(piece: type[Middleware]) -> str:
    name = piece.__name__.lower()
    text = f"Its name in settings is `{name}`"
    if piece.shorthand:
        text += f"; `{name}:TEXT` and the one positional argument give `{piece.shorthand}`"
    lines = [f"{text}.", "", "| setting | default | what it does | value |", "|---|---|---|---|"]
    for option in piece.OPTIONS.values():
        shown = "must be given"
        if option.default is not REQUIRED:
            default = option.kind.show(option.default)
            shown = f"`{_cell(default)}`" if default else "none"
        lines.append(f"| `{option.name}` | {shown} | {_cell(option.help)} | {_cell(option.kind.allowed)} |")
    return "\n".join(lines)


def _rules() -> str:
    lines = ["| stands outside | of | otherwise |", "|---|---|---|"]
    for rule in RULES:
        outer, inner = (", ".join(f"`{name}`" for name in names) for names in (rule.outer, rule.inner))
        lines.append(f"| {outer} | {inner} | {rule.otherwise} |")
    return "\n".join(lines)


def _link(class_name: str) -> str:
    return f"[`{class_name}`](../reference/middleware/{CLASSES[class_name]}.md)"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _filled(page: Path, name: str, text: str) -> str:
    return _replaced(page.read_text(encoding="utf-8"), name, text)


def _replaced(page: str, name: str, text: str) -> str:
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    made, count = re.subn(
        re.escape(begin) + "(?s:.*?)" + re.escape(end), lambda _found: begin + text + "\n" + end, page
    )
    if count != 1:
        raise ValueError(f"a page must have {begin.strip()} and {end.strip()} once, found {count}")
    return made


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")
