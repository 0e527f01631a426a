"""THE table of lint's codes: pages, reports and tests come from it. The rows are in rules_*.py."""

from __future__ import annotations

from .rule import Rule
from .rules_body import BODY_RULES
from .rules_caller import CALLER_RULES
from .rules_head import HEAD_RULES

RULES: dict[str, Rule] = {rule.code: rule for rule in (*HEAD_RULES, *BODY_RULES, *CALLER_RULES)}

# First digit of a code -> what it is about, for headings.
GROUPS = {
    "1": "start_response, status and header fields",
    "2": "The body",
    "3": "The streams",
    "4": "Middleware",
    "5": "The caller: a server, or middleware playing one",
}

DOCUMENT = "docs/reference/lint/{}.md"
