"""process_title.py: the short name always, the whole title with the extra, and no harm anywhere."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from barkeep.process_title import set_title, supervisor_title, worker_title, zygote_title


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "setproctitle", None)


def test_titles_say_who_is_who() -> None:
    assert supervisor_title("shop") == "barkeep: supervisor shop"
    assert worker_title(slot=0, generation=7) == "barkeep: worker 0 gen 7"
    assert zygote_title(7) == "barkeep: zygote gen 7"


def test_whole_title_is_set_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    titles: list[str] = []
    extra = ModuleType("setproctitle")
    extra.setproctitle = titles.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "setproctitle", extra)
    set_title("barkeep: worker 0 gen 7")
    assert titles == ["barkeep: worker 0 gen 7"]


@pytest.mark.usefixtures("without_extra")
def test_short_name_is_cut_to_what_the_kernel_keeps(tmp_path: Path) -> None:
    set_title("barkeep: worker 0 gen 7", comm=str(tmp_path / "comm"))
    assert (tmp_path / "comm").read_bytes() == b"barkeep: worker"


@pytest.mark.usefixtures("without_extra")
def test_system_without_the_file_keeps_its_name(tmp_path: Path) -> None:
    set_title("barkeep: worker 0 gen 7", comm=str(tmp_path / "no" / "comm"))
    assert list(tmp_path.iterdir()) == []
