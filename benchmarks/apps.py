"""Benchmark applications - the same WSGI callables for every server (PEP 3333); no framework here."""

from __future__ import annotations

import functools
import json
import pathlib
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

HELLO = b"Hello, World!"
JSON_VALUE = {
    "message": "Hello, World!",
    "items": list(range(20)),
    "user": {"id": 7, "name": "Ada"},
    "ok": True,
}
JSON_BYTES = json.dumps(JSON_VALUE).encode()
CHUNK = b"0123456789abcdef" * 64
CHUNK_COUNT = 100
TEN_KIB = CHUNK * 10
ONE_MIB = CHUNK * 1024
FILE_BLOCK_BYTES = 64 * 1024
SLEEP_S = 0.010
MIXED_SLEEP_S = 0.020
BURN_S = 0.020


@functools.cache
def _file_path() -> str:
    """Where the file of 1 MiB is, made on first use so that start and memory are measured without it.

    It lies beside the compiled programs, not in a temporary folder: a killed server cleans nothing up.
    """
    path = pathlib.Path(__file__).parent / "build" / "one-mib"
    if not path.exists() or path.stat().st_size != len(ONE_MIB):
        path.write_bytes(ONE_MIB)
    return str(path)


def _answer(start_response: StartResponse, body: bytes, content_type: str = "text/plain") -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]


def hello(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """13 bytes."""
    return _answer(start_response, HELLO)


def numbered_body(number: str) -> bytes:
    """13 bytes that tell four-digit numbers apart."""
    return f"Hello, {number}!!".encode("latin-1")


def numbered(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """13 bytes with the query string in them, so that a pipeline's order can be checked.

    An empty QUERY_STRING may be absent (PEP 3333, environ variables); bjoern leaves it out.
    """
    return _answer(start_response, numbered_body(environ.get("QUERY_STRING", "")))


def json_answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A small document, serialised for each request."""
    return _answer(start_response, json.dumps(JSON_VALUE).encode(), "application/json")


def post_length(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Read the body whole; answer its length in decimal."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return _answer(start_response, str(len(body)).encode())


def generator(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    """100 chunks of 1 KiB, no Content-Length."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(CHUNK_COUNT):
        yield CHUNK


def body_10k(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """10 KiB in one chunk."""
    return _answer(start_response, TEN_KIB)


def body_1m(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """1 MiB in one chunk."""
    return _answer(start_response, ONE_MIB)


def file_1m(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A file of 1 MiB through wsgi.file_wrapper where the server has one; the server closes it (PEP 3333)."""
    file = open(_file_path(), "rb")  # noqa: SIM115 - handed over to the server
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(ONE_MIB)))])
    wrapper = environ.get("wsgi.file_wrapper")
    return wrapper(file, FILE_BLOCK_BYTES) if wrapper else iter(lambda: file.read(FILE_BLOCK_BYTES), b"")


def sleep_10ms(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Wait like a database call would: 10 ms without the GIL."""
    time.sleep(SLEEP_S)
    return _answer(start_response, HELLO)


def _burn(seconds: float) -> int:
    """Hold the GIL with plain Python for so much CPU time of this thread, whatever else runs."""
    rounds = 0
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        for number in range(200):
            rounds += number & 1
    return rounds


def mixed(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """/sleep waits 20 ms, /burn computes for 20 ms, anything else says hello at once."""
    path = environ["PATH_INFO"]
    if path == "/sleep":
        time.sleep(MIXED_SLEEP_S)
    elif path == "/burn":
        _burn(BURN_S)
    return _answer(start_response, HELLO)
