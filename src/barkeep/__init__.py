"""Barkeep: a WSGI server (PEP 3333) that is safe on the open network.

One request, six steps, and the file of each:

    1 listen        listeners.py, rust/engine/src/listener.rs
    2 connection    rust/engine/src/connection.rs
    3 head and body rust/engine/src/reading.rs, rust/wire
    4 environ       rust/engine/src/environ.rs, input.rs
    5 application   wsgi.py
    6 response      rust/engine/src/response_writer.rs, answering.rs

`serve(application)` blocks; `with Server(application) as server: server.url` is for embedding and tests.
`stack(application, ...)` puts middlewares around an application.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .middleware.stack import stack as stack
    from .server import Server as Server
    from .server import serve as serve
    from .worker import worker_slot as worker_slot

__all__ = ["Server", "serve", "stack", "worker_slot"]


def __getattr__(name: str) -> object:
    # Imported when first used: `barkeep check` and the command line's errors need none of it.
    if name == "worker_slot":
        from .worker import worker_slot

        return worker_slot
    if name == "stack":
        from .middleware.stack import stack

        return stack
    if name in __all__:
        from . import server

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
