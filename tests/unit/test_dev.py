"""dev: the developer's script says plainly what is missing, and does again only what changed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def dev(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module, working on an empty clone; commands are collected in `dev.ran`, not run."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = SourceFileLoader("dev", str(ROOT / "dev"))
    spec = spec_from_loader("dev", loader)
    assert spec is not None
    script: Any = module_from_spec(spec)
    loader.exec_module(script)
    script.ROOT = tmp_path
    script.VENV = tmp_path / ".venv"
    script.VENV_PYTHON = script.VENV / "bin" / "python"
    script.LOCK = tmp_path / "dev.txt"
    script.LOCK.write_text("ruff==1\n")
    (tmp_path / "src" / "barkeep").mkdir(parents=True)
    (tmp_path / "Cargo.toml").write_text('rust-version = "1.95"\n')
    script.ran = []

    def pretend(command: list[object], **_: object) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in command]
        script.ran.append(words)
        if "venv" in words:
            script.VENV_PYTHON.parent.mkdir(parents=True, exist_ok=True)
            script.VENV_PYTHON.touch()
        if "--editable" in words:
            (tmp_path / "src" / "barkeep" / "_engine.abi3.so").touch()
        return subprocess.CompletedProcess(words, 0, stdout="cargo 1.95.0 (abc 2026-01-01)\n")

    monkeypatch.setattr(subprocess, "run", pretend)
    return script


@pytest.mark.parametrize("program", ["cargo", "C compiler"])
def test_missing_program_is_told_with_how_to_get_it(
    dev: Any, program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {"cargo": "C compiler", "C compiler": "cargo"}[program]
    monkeypatch.setattr(
        shutil, "which", lambda name: name if (name == "cargo") == (found == "cargo") else None
    )
    assert dev.main(["build"]) == 1
    error = capsys.readouterr().err
    assert program in error
    assert error.count("\n") == 1


def test_old_python_is_told_which_is_needed(
    dev: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    assert dev.main(["build"]) == 1
    assert "Python 3.10 or newer is needed, this is 3.9.18" in capsys.readouterr().err


def test_old_rust_is_told_before_cargo_fails(dev: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (dev.ROOT / "Cargo.toml").write_text('rust-version = "1.100"\n')
    assert dev.main(["build"]) == 1
    assert "Rust 1.100 or newer is needed, this is 1.95.0" in capsys.readouterr().err


def test_second_build_of_the_same_sources_runs_nothing(dev: Any) -> None:
    dev.build(dev.RELEASE)
    first = len(dev.ran)
    dev.build(dev.RELEASE)
    assert first == 3
    assert len(dev.ran) == first


@pytest.mark.parametrize("change", ["source", "profile", "engine removed"])
def test_changed_sources_profile_or_a_missing_engine_build_again(dev: Any, change: str) -> None:
    dev.build(dev.RELEASE)
    dev.ran.clear()
    if change == "source":
        (dev.ROOT / "Cargo.toml").write_text('rust-version = "1.96"\n')
    if change == "engine removed":
        (dev.ROOT / "src" / "barkeep" / "_engine.abi3.so").unlink()
    dev.build(dev.CHECKED if change == "profile" else dev.RELEASE)
    assert ["--editable" in words for words in dev.ran] == [True]


def test_changed_lock_makes_the_environment_anew(dev: Any) -> None:
    dev.install_tools()
    dev.ran.clear()
    dev.LOCK.write_text("ruff==2\n")
    dev.install_tools()
    assert [("--clear" in words, "--requirement" in words) for words in dev.ran] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize(("words", "code"), [([], 0), (["--help"], 0), (["chekc"], 2)])
def test_help_lists_the_commands(
    dev: Any, words: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dev.main(words) == code
    assert "./dev check" in capsys.readouterr().out


def test_lock_has_an_exact_version_of_every_tool_in_the_dev_group() -> None:
    lines = (ROOT / "requirements" / "dev.txt").read_text().splitlines()
    locked = {line.partition("==")[0].lower() for line in lines if not line.startswith("#")}
    group = (ROOT / "pyproject.toml").read_text().partition("\ndev = [\n")[2].partition("\n]")[0]
    wanted = set(re.findall(r'^ +"([\w-]+)', group, flags=re.MULTILINE))
    assert len(wanted) > 8
    assert wanted <= locked
    assert all("==" in line for line in lines if not line.startswith("#"))
