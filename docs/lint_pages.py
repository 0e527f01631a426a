"""Writes docs/reference/lint from lint's table of codes: `./dev check docs`. A test compares."""

from __future__ import annotations

from pathlib import Path

from barkeep.lint.codes import GROUPS, RULES
from barkeep.lint.rule import Rule

PLACE = Path(__file__).parent / "reference" / "lint"

INTRODUCTION = """\
<!-- Made by docs/lint_pages.py from src/barkeep/lint/rules_*.py. -->
# Lint codes

What `barkeep lint` and `barkeep.lint.Lint` tell, and what to do about it:
[Check an application](../../how-to/check-an-application.md). An *error* breaks a MUST, a *warning* a SHOULD
or is what clients and servers stumble over, *advice* names a habit to leave. A code keeps its
meaning for ever.

"validate" marks what `wsgiref.validate` finds too.
"""


def render() -> dict[str, str]:
    """File name -> page as Markdown: one for each code, and an index."""
    pages = {f"{rule.code}.md": _page_of(rule) for rule in RULES.values()}
    pages["index.md"] = _index()
    return pages


def _page_of(rule: Rule) -> str:
    validate = "finds it too" if rule.in_validate else "does not find it"
    return (
        f"<!-- Made by docs/lint_pages.py from src/barkeep/lint/rules_*.py. -->\n"
        f"# {rule.code}: {rule.title}\n\n"
        f"- Severity: {rule.severity}\n"
        f"- Source: {rule.source}\n"
        f"- `wsgiref.validate`: {validate}\n\n"
        f"## Why\n\n{rule.why}\n\n"
        f"## How to mend it\n\n{rule.mend}\n\n"
        f"[All codes](index.md)\n"
    )


def _index() -> str:
    parts = [INTRODUCTION]
    for digit, title in GROUPS.items():
        parts.append(f"\n## {title}\n\n| code | severity | what | validate |\n|---|---|---|---|\n")
        parts.extend(
            f"| [{rule.code}]({rule.code}.md) | {rule.severity} | {rule.title} "
            f"| {'yes' if rule.in_validate else ''} |\n"
            for rule in RULES.values()
            if rule.code[2] == digit
        )
    return "".join(parts)


if __name__ == "__main__":
    PLACE.mkdir(parents=True, exist_ok=True)
    for name, text in render().items():
        (PLACE / name).write_text(text, encoding="utf-8")
