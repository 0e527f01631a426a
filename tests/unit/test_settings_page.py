"""docs/reference/settings.md says what the table in settings.py says."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_settings_page_is_made_from_the_table_as_it_is_now() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "settings_page.py"))
    assert page["PAGE"].read_text(encoding="utf-8") == page["render"](), "run ./dev check docs"
