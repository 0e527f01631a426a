"""Applications that the tests run under CGI; each is loaded by a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from barkeep.lint import Lint
from barkeep.testing import StartResponse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from barkeep.lint import Finding

PLAIN = ("Content-Type", "text/plain")


def echo(environ: Any, start_response: Any) -> list[bytes]:
    """The environ and the body as JSON."""
    body = environ["wsgi.input"].read()
    values = {key: value for key, value in environ.items() if isinstance(value, (str, bool))}
    start_response("200 OK", [("Content-Type", "application/json"), ("X-Twice", "1"), ("X-Twice", "2")])
    return [
        json.dumps(
            {"environ": values, "body": body.decode("latin-1"), "proxy": "HTTP_PROXY" in os.environ}
        ).encode()
    ]


def printing(environ: Any, start_response: Any) -> list[bytes]:
    """Prints, also from a program of its own that would read the body."""
    print("this is not the answer")
    subprocess.run(["cat"], check=True)
    start_response("200 OK", [PLAIN])
    return [environ["wsgi.input"].read()]


def in_steps(environ: Any, start_response: Any) -> Iterator[bytes]:
    """Gives a chunk for each line of the body, as the line comes."""
    start_response("200 OK", [PLAIN])
    for line in environ["wsgi.input"]:
        yield b"got " + line


def failing(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [PLAIN])
    raise KeyError("before the head")


def exiting(_environ: Any, _start_response: Any) -> list[bytes]:
    sys.exit(0)


def failing_later(_environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [PLAIN, ("Content-Length", "100")])
    yield b"begun"
    raise KeyError("after the head")


def with_fields(*fields: tuple[str, str], status: str = "200 OK", body: bytes = b"body") -> Any:
    """A factory: these fields, this status, this body."""

    def application(_environ: Any, start_response: Any) -> list[bytes]:
        start_response(status, [PLAIN, *fields])
        return [body]

    return application


def not_modified(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("304 Not Modified", [("ETag", '"a"')])
    return []


def file(environ: Any, start_response: Any) -> Any:
    """This file."""
    start_response("200 OK", [PLAIN])
    return environ["wsgi.file_wrapper"](open(__file__, "rb"))


class Closing:
    """Gives a chunk, waits for the end of its body, and tells its close() on standard error."""

    def __init__(self, environ: Any, start_response: Any) -> None:
        self.environ = environ
        start_response("200 OK", [PLAIN])

    def __iter__(self) -> Iterator[bytes]:
        yield b"begun"
        while True:
            self.environ["wsgi.input"].read(1)
            yield b"x" * 1024

    def close(self) -> None:
        print("close was called", file=sys.stderr, flush=True)


class EndedWhileClosing:
    """Its answer is complete; in close() the server's signal comes."""

    def __init__(self, _environ: Any, start_response: Any) -> None:
        start_response("200 OK", [PLAIN, ("Content-Length", "4")])

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"body"])

    def close(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        print("close came to its end", file=sys.stderr)


def findings(environ: Any, start_response: Any) -> list[bytes]:
    """What lint has to say about the server that gave this environ."""
    told: list[Finding] = []
    body = Lint(echo, report=told.append)(dict(environ), StartResponse())
    list(body)
    body.close()  # type: ignore[attr-defined]  # lint's iterable has it
    start_response("200 OK", [PLAIN])
    return ["\n".join(str(finding) for finding in told).encode()]
