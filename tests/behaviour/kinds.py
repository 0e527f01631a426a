"""What the fixtures of conftest.py are, for the type checker."""

from __future__ import annotations

from typing import Protocol

import barkeep
from tests.behaviour.clients import Address, Client
from tests.behaviour.processes import ServerProcess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication


class Serve(Protocol):
    """Start a server in this process."""

    def __call__(self, application: WSGIApplication, **settings: object) -> barkeep.Server: ...


class Connect(Protocol):
    """Open a client connection."""

    def __call__(self, server: barkeep.Server | Address, *, is_slow: bool = False) -> Client: ...


class Spawn(Protocol):
    """Run applications.py in a process of its own."""

    def __call__(self, *options: str, before: tuple[str, ...] = ()) -> ServerProcess: ...
