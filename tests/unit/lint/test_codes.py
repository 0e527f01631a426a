"""The table of codes: stable, complete, and what the pages are made from."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from barkeep.lint import RULES
from barkeep.lint.codes import GROUPS
from barkeep.lint.rule import SEVERITIES, Rule

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_rule_is_complete(rule: Rule) -> None:
    assert re.fullmatch("BK[1-5][0-9]{2}", rule.code)
    assert rule.severity in SEVERITIES
    assert rule.source.startswith(("PEP 3333, ", "RFC 9110, "))
    assert not rule.title.endswith(".")
    assert rule.why.endswith(".")
    assert rule.mend.endswith(".")
    assert not rule.why[0].islower()
    assert rule.mend[0].isupper()


def test_no_code_is_given_twice() -> None:
    from barkeep.lint.rules_body import BODY_RULES
    from barkeep.lint.rules_caller import CALLER_RULES
    from barkeep.lint.rules_head import HEAD_RULES

    codes = [rule.code for rule in (*HEAD_RULES, *BODY_RULES, *CALLER_RULES)]
    assert codes == sorted(set(codes))
    assert {code[2] for code in codes} == set(GROUPS)


def test_pages_are_made_from_the_table_as_it_is_now() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "lint_pages.py"))
    pages = made["render"]()
    assert {name: (made["PLACE"] / name).read_text(encoding="utf-8") for name in pages} == pages, (
        "run ./dev check docs"
    )
    assert sorted(pages) == sorted(page.name for page in made["PLACE"].glob("*.md"))
