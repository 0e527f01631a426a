"""Small applications that the tests serve, and what starts a server around them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from barkeep.testing import LiveServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    Serve = Callable[..., "Served"]

PLAIN = [("Content-Type", "text/plain")]

# The request most tests send.
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


# A running server. stop() may be called before the fixture does it, to have its log complete.
Served = LiveServer


def answering(
    *chunks: bytes, status: str = "200 OK", fields: Iterable[tuple[str, str]] = PLAIN
) -> WSGIApplication:
    """An application that always gives this answer, its body as a list."""

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response(status, list(fields))
        return list(chunks)

    return application


def streaming(
    *chunks: bytes, status: str = "200 OK", fields: Iterable[tuple[str, str]] = PLAIN
) -> WSGIApplication:
    """As `answering`, but the body comes from a generator, so its length is not known."""

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, list(fields))
        yield from chunks

    return application


def json_answer(value: object, start_response: StartResponse) -> list[bytes]:
    """Answer 200 with this value as JSON."""
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(value).encode()]


def echo(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Answer with the texts of the environ and the whole body, latin-1 in JSON."""
    body = environ["wsgi.input"].read()
    texts = {key: value for key, value in environ.items() if isinstance(value, str)}
    return json_answer({"environ": texts, "body": body.decode("latin-1")}, start_response)


def echo_body(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Answer with the request body."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return [body]


def read_nothing(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Answer with the path and leave the body alone."""
    start_response("200 OK", PLAIN)
    return [environ["PATH_INFO"].encode("latin-1")]


def environ_of(body: bytes) -> dict[str, Any]:
    """The environ in an answer of `echo`."""
    environ: dict[str, Any] = json.loads(body)["environ"]
    return environ


def received_body(body: bytes) -> bytes:
    """The request body in an answer of `echo`."""
    text: str = json.loads(body)["body"]
    return text.encode("latin-1")
