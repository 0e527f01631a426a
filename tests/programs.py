"""Programs beside Python that tests start: servers and tools from Debian's packages."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

LIST = Path(__file__).resolve().parents[1] / "requirements" / "debian.txt"

# Debian puts servers where only root looks.
PLACES = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])


def packages() -> dict[str, str]:
    """Program -> the Debian package that has it."""
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return dict(line.split() for line in lines if line and not line.startswith("#"))


def find_program(name: str) -> str:
    """The path of a program. Without it the test is skipped, and in CI it fails.

    There a check that never runs is worse than one that fails.
    """
    found = shutil.which(name, path=PLACES)
    if found is None:
        skip_unless_ci(f"{name} is not installed. On Debian: apt-get install {packages()[name]}")
    return found


def skip_unless_ci(reason: str) -> NoReturn:
    """End a test that cannot run here; in CI it fails."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
