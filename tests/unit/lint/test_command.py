"""`barkeep lint`: words, exit codes, and that the report alone is on standard output."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from barkeep import cli

CLEAN = """
def app(environ, start_response):
    print("the application prints this")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
"""
BROKEN = CLEAN.replace('"text/plain")', '"text/plain"), ("Connection", "close")')
PADDED = CLEAN.replace('"text/plain")', '"text/plain "), ("Server", "mine")')
MIDDLEWARE = """
def joining(app):
    def joined(environ, start_response):
        return [b"".join(app(environ, start_response))]
    return joined
"""


@pytest.fixture(autouse=True)
def shop(site: Path) -> None:
    """One module of each kind."""
    for name, text in (("clean", CLEAN), ("broken", BROKEN), ("padded", PADDED), ("wrapping", MIDDLEWARE)):
        (site / f"{name}.py").write_text(text)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["clean:app"], 0),
        (["broken:app"], 1),
        (["broken:app", "--ignore", "BK115"], 0),
        (["broken:app", "--fail-on", "never"], 0),
        (["padded:app"], 1),
        (["padded:app", "--fail-on", "error"], 0),
        (["padded:app", "--ignore", "BK113"], 0),
        (["padded:app", "--ignore", "BK113", "--fail-on", "advice"], 1),
        (["clean:app", "--path", "/a?b=c", "--path", "/d", "--safe"], 0),
        (["wrapping:joining", "--middleware"], 1),
    ],
)
def test_exit_code_tells_whether_there_is_a_finding(words: list[str], code: int) -> None:
    assert cli.main(["lint", *words]) == code


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 2, "barkeep lint needs a TARGET"),
        (
            ["clean:app", "--formt", "json"],
            2,
            "unrecognized arguments: --formt json. See barkeep lint --help.",
        ),
        (
            ["clean:app", "--ignore", "BK1155"],
            2,
            'there is no lint code "BK1155" (command line). Did you mean "BK115"?',
        ),
        (["clean:app", "--path", "a"], 2, '--path must begin with a slash, found "a"'),
        (["clean:app", "--chdir", "nowhere"], 2, '--chdir must be a directory, found "nowhere"'),
        (["clean:app", "--output", "no/such/place"], 2, '--output cannot be written, found "no/such/place"'),
        (["clean:nothing"], 3, 'module "clean" has no name "nothing"'),
    ],
)
def test_what_cannot_be_done_is_one_line(
    words: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["lint", *words]) == code
    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith("barkeep: ")
    assert told in error


def test_what_the_application_prints_is_not_in_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lint", "broken:app", "--format", "json"]) == 1
    out, err = capsys.readouterr()
    [finding] = json.loads(out)["findings"]
    assert (finding["code"], finding["file"], finding["line"], finding["function"]) == (
        "BK115",
        "broken.py",
        4,
        "app",
    )
    assert "the application prints this" in err


def test_report_can_be_written_to_a_file(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lint", "broken:app", "--format", "sarif", "--output", "lint.sarif"]) == 1
    assert capsys.readouterr().out == ""
    assert json.loads((site / "lint.sarif").read_text())["runs"][0]["results"][0]["ruleId"] == "BK115"


def test_application_is_loaded_from_the_directory_that_is_given(site: Path) -> None:
    (site / "inner").mkdir()
    os.rename("clean.py", "inner/shop.py")
    assert cli.main(["lint", "shop:app", "--chdir", "inner"]) == 0


def test_code_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lint", "--explain", "BK115"]) == 0
    assert capsys.readouterr().out.startswith("BK115 error: a hop-by-hop header field was given\n")
