"""For the tests of applications, middleware and servers: clients, a live server, fakes.

The pytest plugin has `live_server`; docs/how-to/test-an-application.md shows all of it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .client import Client as Client
    from .client import LintFailure as LintFailure
    from .environ import make_environ as make_environ
    from .fakes import ClosingIterable as ClosingIterable
    from .fakes import StartResponse as StartResponse
    from .gateway import MemoryExchange as MemoryExchange
    from .live import LiveServer as LiveServer
    from .live import live_server as live_server
    from .raw_client import Client as RawClient
    from .response import Response as Response
    from .streams import BodyInput as BodyInput
    from .streams import ErrorText as ErrorText

# Name -> (module, name in it).
_HOMES = {
    "BodyInput": ("streams", "BodyInput"),
    "Client": ("client", "Client"),
    "ClosingIterable": ("fakes", "ClosingIterable"),
    "ErrorText": ("streams", "ErrorText"),
    "LintFailure": ("client", "LintFailure"),
    "LiveServer": ("live", "LiveServer"),
    "MemoryExchange": ("gateway", "MemoryExchange"),
    "RawClient": ("raw_client", "Client"),
    "Response": ("response", "Response"),
    "StartResponse": ("fakes", "StartResponse"),
    "live_server": ("live", "live_server"),
    "make_environ": ("environ", "make_environ"),
}

__all__ = [
    "BodyInput",
    "Client",
    "ClosingIterable",
    "ErrorText",
    "LintFailure",
    "LiveServer",
    "MemoryExchange",
    "RawClient",
    "Response",
    "StartResponse",
    "live_server",
    "make_environ",
]


def __getattr__(name: str) -> object:
    # Imported when first used: the engine is needed for a live server only.
    if name in _HOMES:
        from importlib import import_module

        module, inner = _HOMES[name]
        return getattr(import_module(f".{module}", __name__), inner)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
