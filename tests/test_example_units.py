"""examples/systemd: the units are what systemd takes without a word, by its own check."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.programs import find_program

UNITS = Path(__file__).resolve().parents[1] / "examples" / "systemd"
NAMES = ("barkeep.service", "barkeep.socket")

# The first version that knows Type=notify-reload.
NOTIFY_RELOAD_VERSION = 253


@pytest.fixture
def analyze() -> str:
    return find_program("systemd-analyze")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with a program in the place of a barkeep that is not installed here."""
    for name in NAMES:
        text = (UNITS / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(re.sub(r"/srv/site/venv/bin/barkeep", "/bin/true", text))
    return tmp_path


def complaints(analyze: str, units: Path) -> str:
    """What the check says; "" when it is content. Warnings do not change its exit code."""
    words = [analyze, "verify", "--man=no", *(str(units / name) for name in NAMES)]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)
    lines = (done.stdout + done.stderr).splitlines()
    # Units of this very machine are read too, and are not ours to answer for.
    ours = [line for line in lines if "barkeep" in line or str(units) in line]
    return "\n".join(ours) if ours or done.returncode == 0 else "\n".join(lines)


def test_systemd_takes_the_units_as_they_are(analyze: str, units: Path) -> None:
    assert complaints(analyze, units) == ""


def test_systemd_takes_the_units_with_notify_reload(analyze: str, units: Path) -> None:
    told = subprocess.run([analyze, "--version"], check=True, capture_output=True, text=True).stdout
    if int(told.split()[1]) < NOTIFY_RELOAD_VERSION:
        pytest.skip(f"systemd {told.split()[1]} does not know Type=notify-reload")
    drop_ins = units / "barkeep.service.d"
    drop_ins.mkdir()
    shutil.copy(UNITS / "notify-reload.conf", drop_ins)
    assert complaints(analyze, units) == ""


def test_check_finds_what_is_wrong(analyze: str, units: Path) -> None:
    service = units / "barkeep.service"
    service.write_text(service.read_text().replace("Type=notify\n", "Type=notified\n"))
    assert "notified" in complaints(analyze, units)


def test_page_about_systemd_shows_the_units_as_they_are() -> None:
    page = (UNITS.parents[1] / "docs" / "how-to" / "systemd.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```ini\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    texts = [(UNITS / name).read_text(encoding="utf-8") for name in reversed(NAMES)]
    # Without the comment at the top of each.
    assert shown == [text.partition("\n\n")[2] for text in texts]
