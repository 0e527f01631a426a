"""lint's reports: text for people, JSON for programs, SARIF for code hosts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from barkeep.lint import RULES, Finding, Report
from barkeep.lint.places import UNKNOWN, Place
from barkeep.lint.report import as_json, as_sarif, as_text


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """One finding below the working directory, and one without a place."""
    monkeypatch.chdir(tmp_path)
    place = Place(str(tmp_path / "shop site" / "app.py"), 12, "application")
    return Report(
        [
            Finding(RULES["BK115"], "Connection is among the fields", place, "GET /"),
            Finding(RULES["BK127"], "server is among the fields", UNKNOWN, "POST /form"),
        ],
        32,
    )


def test_text_names_line_request_rule_and_page(report: Report) -> None:
    text = as_text(report, "shop:app")
    assert text.startswith(
        "BK115 error: a hop-by-hop header field was given\n  at       shop site/app.py:12 in application\n"
    )
    assert "  request  GET /\n" in text
    assert "  page     docs/reference/lint/BK115.md\n" in text
    assert text.endswith("\nshop:app: 1 error, 1 advice in 32 requests\n")


def test_text_without_findings_says_so() -> None:
    assert as_text(Report([], 32), "shop:app") == "shop:app: no findings in 32 requests\n"


def test_json_has_every_part_of_a_finding(report: Report) -> None:
    told = json.loads(as_json(report, "shop:app"))
    assert (told["target"], told["requests"]) == ("shop:app", 32)
    first, second = told["findings"]
    assert (first["code"], first["file"], first["line"]) == ("BK115", "shop site/app.py", 12)
    assert (second["code"], second["file"], second["line"]) == ("BK127", "", 0)
    parts = "code severity title seen file line function request source why mend"
    assert " ".join(first) == parts


def test_sarif_has_rules_results_and_locations(report: Report) -> None:
    told = json.loads(as_sarif(report, "shop:app"))
    assert told["version"] == "2.1.0"
    [run] = told["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["BK115", "BK127"]
    first, second = run["results"]
    assert (first["ruleId"], first["level"], second["level"]) == ("BK115", "error", "note")
    [location] = first["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "shop%20site/app.py"},
        "region": {"startLine": 12},
    }
    assert "locations" not in second
