"""Step 5 of 6 - the application that served processes run: `python -m barkeep applications.py:application`.

GATE in the environment is the path of the test's gate (gates.py).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import socket
import struct
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from barkeep.thread_stacks import gil_is_enabled
from tests.behaviour.gates import wait_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    Application = Callable[..., Iterable[bytes]]

TEXT = ("Content-Type", "text/plain")
PIECE_BYTES = 64 * 1024


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer by the first segment of the path."""
    _, name, *rest = environ["PATH_INFO"].split("/")
    answer: Application = ANSWERS[name]
    return answer(environ, start_response, *rest)


def hello(_environ: WSGIEnvironment, start_response: StartResponse, *_: str) -> Iterable[bytes]:
    """A few bytes, at once."""
    start_response("200 OK", [TEXT])
    return [b"hello"]


def gate(_environ: WSGIEnvironment, start_response: StartResponse, *_: str) -> Iterable[bytes]:
    """A few bytes, when the test lets go."""
    wait_at(os.environ["GATE"])
    start_response("200 OK", [TEXT])
    return [b"let go"]


def stream(_environ: WSGIEnvironment, start_response: StartResponse, *_: str) -> Iterable[bytes]:
    """A chunk, then another when the test lets go."""
    start_response("200 OK", [TEXT])
    yield b"before"
    wait_at(os.environ["GATE"])
    yield b"after"


def zeros(_environ: WSGIEnvironment, start_response: StartResponse, size: str, *_: str) -> Iterable[bytes]:
    """So many bytes, in one piece."""
    start_response("200 OK", [TEXT])
    return [bytes(int(size))]


def pieces(_environ: WSGIEnvironment, start_response: StartResponse, count: str, *_: str) -> Iterable[bytes]:
    """So many pieces of 1 KiB, without a length."""
    start_response("200 OK", [TEXT])
    for _number in range(int(count)):
        yield bytes(1024)


def digest(environ: WSGIEnvironment, start_response: StartResponse, *_: str) -> Iterable[bytes]:
    """SHA-256 of the request body, which is read in pieces."""
    sum_ = hashlib.sha256()
    while piece := environ["wsgi.input"].read(PIECE_BYTES):
        sum_.update(piece)
    start_response("200 OK", [TEXT])
    return [sum_.hexdigest().encode()]


def fail(_environ: WSGIEnvironment, start_response: StartResponse, *_: str) -> Iterable[bytes]:
    """A chunk, then an error."""
    start_response("200 OK", [TEXT])
    yield b"before"
    raise RuntimeError("on purpose")


def keep_the_gil() -> None:
    """Wait at the gate and keep the GIL: from when the test sees us there, nobody else has it."""
    library = ctypes.PyDLL(None)
    address = struct.pack("H108s", socket.AF_UNIX, os.environ["GATE"].encode())
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(86_400)
    # Whoever waited with the interval of before has its turn here, and asks for no other.
    time.sleep(0.01)
    with socket.socket(socket.AF_UNIX) as waiting:
        library.connect(waiting.fileno(), address, len(address))
        library.recv(waiting.fileno(), ctypes.create_string_buffer(1), 1, 0)
    sys.setswitchinterval(before_s)


def hang(_environ: WSGIEnvironment, start_response: StartResponse, kind: str, *_: str) -> Iterable[bytes]:
    """Nothing: in a sleep, at a lock or in a loop; or in C code with the GIL, until the test lets go."""
    if kind == "sleep":
        time.sleep(86_400)
    elif kind == "lock":
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()
    elif kind == "loop":
        while True:
            pass
    elif kind == "gil":
        keep_the_gil()
    start_response("200 OK", [TEXT])
    return [b"let go"]


# Who computes in `meet`.
HERE: list[int] = []


def meet(_environ: WSGIEnvironment, start_response: StartResponse, count: str, *_: str) -> Iterable[bytes]:
    """Compute until so many threads do; one that has to wait for a GIL never comes. Tells of the GIL."""
    sys.setswitchinterval(86_400)
    HERE.append(threading.get_ident())
    while len(HERE) < int(count):
        pass
    start_response("200 OK", [TEXT])
    return [b"GIL" if gil_is_enabled() else b"no GIL"]


ANSWERS: dict[str, Application] = {
    "": hello,
    "gate": gate,
    "stream": stream,
    "zeros": zeros,
    "pieces": pieces,
    "digest": digest,
    "fail": fail,
    "hang": hang,
    "meet": meet,
}
