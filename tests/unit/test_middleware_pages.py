"""The pages about middlewares say what the source says."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from barkeep.middleware.registry import CLASSES, load_class
from tests.apps import answering
from tests.middleware_cases import call

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
HOW_TO = ROOT / "docs" / "how-to" / "middleware.md"
PAGES = [*sorted((ROOT / "docs" / "reference" / "middleware").glob("*.md")), HOW_TO]


def test_made_parts_of_the_pages_are_those_of_the_source_as_it_is_now() -> None:
    pages = runpy.run_path(str(ROOT / "docs" / "middleware_pages.py"))["pages"]()
    stale = [page.name for page, text in pages.items() if page.read_text(encoding="utf-8") != text]
    assert stale == [], "run ./dev check docs"


def test_each_middleware_has_a_page_with_an_example_and_pitfalls() -> None:
    places = ROOT / "src" / "barkeep" / "middleware", ROOT / "docs" / "reference" / "middleware"
    for class_name, module in CLASSES.items():
        if (places[0] / f"{module}.py").exists():
            page = (places[1] / f"{module}.md").read_text(encoding="utf-8")
            assert page.startswith(f"# {class_name}\n")
            assert "\n## Example\n" in page
            assert "\n## Pitfalls\n" in page
            assert f'name = "{class_name.lower()}"' in page


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_toml_of_each_page_can_be_used(page: Path) -> None:
    tables = [table for text in blocks(page, "toml") for table in tomllib.loads(text)["middleware"]]
    assert tables
    for table in tables:
        name = table.pop("name")
        if ":" in name:
            continue
        options = load_class(name).OPTIONS
        for key, value in table.items():
            options[key].kind.read(value)


def test_middleware_of_the_how_to_works() -> None:
    (text,) = [text for text in blocks(HOW_TO, "python") if "class PoweredBy" in text]
    names: dict[str, Any] = {"__name__": "page"}
    exec(text, names)
    answer = call(names["PoweredBy"]("rum")(answering(b"body")))
    assert answer.field("X-Powered-By") == "rum"
    assert answer.body == b"body"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_of_each_page_compiles(page: Path) -> None:
    for text in blocks(page, "python"):
        compile(text, page.name, "exec")
