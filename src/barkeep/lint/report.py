"""A drive's report as text, JSON or SARIF 2.1.0 (what code hosts show beside the lines of a change)."""

from __future__ import annotations

from .codes import DOCUMENT
from .places import shorten
from .rule import ADVICE, ERROR, WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .driver import Report
    from .record import Finding

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
SARIF_LEVELS = {ERROR: "error", WARNING: "warning", ADVICE: "note"}


def as_text(report: Report, target: str) -> str:
    """For people: each finding with its line, the request that showed it, and how to mend it."""
    parts = [_one_as_text(finding) for finding in report.findings]
    parts.append(f"{target}: {_count(report)} in {report.requests} requests\n")
    return "\n".join(parts)


def as_json(report: Report, target: str) -> str:
    """For programs: one object; a finding's line is 0 and its file empty when the place is not known."""
    import json

    findings = [
        {
            "code": finding.code,
            "severity": finding.severity,
            "title": finding.rule.title,
            "seen": finding.seen,
            "file": shorten(finding.place.file),
            "line": finding.place.line,
            "function": finding.place.function,
            "request": finding.request,
            "source": finding.rule.source,
            "why": finding.rule.why,
            "mend": finding.rule.mend,
        }
        for finding in report.findings
    ]
    return json.dumps({"target": target, "requests": report.requests, "findings": findings}, indent=2) + "\n"


def as_sarif(report: Report, target: str) -> str:
    """For code hosts: one run, with the rules that were broken."""
    import json
    from importlib.metadata import version

    rules = {finding.code: finding.rule for finding in report.findings}
    driver = {
        "name": "barkeep lint",
        "version": version("barkeep"),
        "rules": [
            {
                "id": code,
                "shortDescription": {"text": rule.title},
                "fullDescription": {"text": f"{rule.why} ({rule.source})"},
                "help": {"text": rule.mend},
                "defaultConfiguration": {"level": SARIF_LEVELS[rule.severity]},
            }
            for code, rule in sorted(rules.items())
        ],
    }
    run = {
        "tool": {"driver": driver},
        "results": [_one_as_sarif(finding) for finding in report.findings],
        "properties": {"target": target, "requests": report.requests},
    }
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


FORMATS: dict[str, Callable[[Report, str], str]] = {"text": as_text, "json": as_json, "sarif": as_sarif}


def _one_as_text(finding: Finding) -> str:
    rule = finding.rule
    return (
        f"{rule.code} {rule.severity}: {rule.title}\n"
        f"  at       {finding.place}\n"
        f"  seen     {finding.seen}\n"
        f"  request  {finding.request}\n"
        f"  why      {rule.why} ({rule.source})\n"
        f"  mend     {rule.mend}\n"
        f"  page     {DOCUMENT.format(rule.code)}\n"
    )


def _count(report: Report) -> str:
    if not report.findings:
        return "no findings"
    counts = [
        f"{count} {severity}{'s' if count > 1 and severity != ADVICE else ''}"
        for severity in (ERROR, WARNING, ADVICE)
        if (count := sum(finding.severity == severity for finding in report.findings))
    ]
    return ", ".join(counts)


def _one_as_sarif(finding: Finding) -> dict[str, object]:
    result: dict[str, object] = {
        "ruleId": finding.code,
        "level": SARIF_LEVELS[finding.severity],
        "message": {"text": f"{finding.rule.title}: {finding.seen} ({finding.request}). {finding.rule.mend}"},
    }
    if finding.place.file:
        location: dict[str, object] = {"artifactLocation": {"uri": _uri_of(finding.place.file)}}
        if finding.place.line:
            location["region"] = {"startLine": finding.place.line}
        result["locations"] = [{"physicalLocation": location}]
    return result


def _uri_of(file: str) -> str:
    from urllib.parse import quote

    shown = shorten(file).replace("\\", "/")
    return quote(shown) if not shown.startswith("/") else "file://" + quote(shown)
