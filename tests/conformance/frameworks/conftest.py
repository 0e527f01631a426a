"""Fixtures of the framework tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.apps import Served
from tests.conformance.frameworks.browser import Browser

if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import WSGIApplication

    Visit = Callable[..., Browser]

FILE_CONTENT = bytes(range(256)) * 2000 + b"the end"


@pytest.fixture
def visit() -> Iterator[Visit]:
    """Serves an application and opens a browser on it: visit(application, **settings)."""
    with ExitStack() as stack:

        def start(application: WSGIApplication, **settings: object) -> Browser:
            served = Served(application, **settings)
            stack.callback(served.stop)
            return stack.enter_context(Browser(served.address))

        yield start


@pytest.fixture(scope="session")
def file_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of half a megabyte that the sites send."""
    path = tmp_path_factory.mktemp("files") / "content.bin"
    path.write_bytes(FILE_CONTENT)
    return path
