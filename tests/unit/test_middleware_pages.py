"""The pages about middlewares say what the source says."""

from __future__ import annotations

import runpy
from pathlib import Path

from barkeep.middleware.registry import CLASSES

ROOT = Path(__file__).resolve().parents[2]


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
