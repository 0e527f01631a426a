"""Fixtures that any test may use."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import hypothesis.strategies
import pytest

# Tests import their helpers as `tests.apps`, also under the bare `pytest` command.
sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.apps import Served

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from tests.apps import Serve


@hypothesis.settings(max_examples=1, database=None)
@hypothesis.given(hypothesis.strategies.none())
def make_one_example(_value: None) -> None:
    """Use Hypothesis."""


def pytest_collection_finish() -> None:
    """Thousands of collected tests are no garbage: a gc.collect() in a test need not look at them."""
    # Hypothesis makes its random numbers when it is first used, and asks the collector who holds them. That
    # would not look at frozen objects.
    make_one_example()
    gc.collect()
    gc.freeze()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory to write modules in; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    # Without bytecode, a module rewritten within one tick of the clock is not taken from its cache.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers on free ports: serve(application, **settings). Stopped after the test."""
    running: list[Served] = []

    def start(application: WSGIApplication, **settings: object) -> Served:
        running.append(Served(application, **settings))
        return running[-1]

    yield start
    for served in running:
        served.stop()
