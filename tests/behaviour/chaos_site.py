"""Step 5 of 6 - the application that chaos.py serves: every answer names its request and its process.

Paths are /KIND/ID. What is hung is let go after a while, so that a worker that drains comes to its end.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

# Long enough that a kill finds some of them running.
SLOW_S = 0.05
# Beyond --timeout and --timeout-grace, so that the thread is given up and another takes its place.
HUNG_S = 4
# Beyond what the I/O thread waits before it says that Python does not run.
GIL_HELD_S = 30
PIECES = 20
PIECE_BYTES = 4096


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer by the first segment of the path."""
    _, kind, request_id = environ["PATH_INFO"].split("/")
    name = f"{request_id} {os.getpid()}\n".encode()
    match kind:
        case "slow":
            time.sleep(SLOW_S)
        case "sleep":
            time.sleep(HUNG_S)
        case "lock":
            threading.Event().wait(HUNG_S)
        case "gil":
            ctypes.PyDLL(None).sleep(GIL_HELD_S)
        case "body":
            name += str(len(environ["wsgi.input"].read())).encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return pieces(name) if kind == "pieces" else [name]


def pieces(name: bytes) -> Iterable[bytes]:
    """An answer without a length, one chunk after another."""
    yield name
    for _ in range(PIECES):
        yield bytes(PIECE_BYTES)
