"""wsgi.input equals io.BytesIO over the body, for any calls, however the body is framed and received."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.apps import PLAIN, Served
from tests.properties.profile import PROPERTY
from tests.raw_client import Client

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

# One call: a method and its argument; "next" has none.
Call = tuple[str, "int | None"]

BODIES = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from([b"\n", b"\n\n", b"line\n", b"\r\n", b"no end", b"x" * 70]), max_size=30).map(
        b"".join
    ),
    # Beyond one receive and beyond the pieces the engine reads in.
    st.integers(60_000, 200_000).map(lambda size: (b"a" * 997 + b"\n") * (size // 998) + b"tail"),
)
SIZES = st.one_of(st.none(), st.integers(-2, 80), st.sampled_from([1024, 65_536, 65_537, 10**9]))
CALLS = st.lists(
    st.one_of(st.tuples(st.sampled_from(["read", "readline", "readlines"]), SIZES), st.just(("next", None))),
    max_size=12,
)


@dataclass
class Plan:
    """What the application is to call, and what it found. One example at a time."""

    calls: list[Call] = field(default_factory=list)
    found: list[object] = field(default_factory=list)


PLAN = Plan()


def run(file: Any, calls: list[Call]) -> list[object]:
    """The results of the calls, then all that is left."""
    results: list[object] = []
    for name, size in calls:
        if name == "next":
            results.append(next(iter(file), "the end"))
        else:
            results.append(getattr(file, name)(size))
    results.append(file.read())
    results.append(list(file))
    return results


def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Do what the plan says."""
    PLAN.found = run(environ["wsgi.input"], PLAN.calls)
    start_response("200 OK", PLAIN)
    return [b"done"]


@pytest.fixture(scope="module", params=[0, 100, 1024 * 1024], ids=["streamed", "partly streamed", "whole"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """A connection to a server that receives small bodies whole; it lives through all examples."""
    served = Served(application, request_buffer=request.param)
    with Client(served.address) as client:
        yield client
    served.stop()


def check(client: Client, data: bytes, body: bytes, calls: list[Call]) -> None:
    """One request, and the same calls on the twin."""
    PLAN.calls = calls
    answer = client.ask(b"POST / HTTP/1.1\r\nHost: a\r\n" + data)
    assert answer.body == b"done"
    assert PLAN.found == run(io.BytesIO(body), calls)


@PROPERTY
@given(body=BODIES, calls=CALLS)
@example(body=b"one\ntwo\nthree", calls=[("readline", None), ("read", None)])
@example(body=b"one\ntwo\nthree", calls=[("read", -1), ("readline", -1), ("readlines", 0)])
@example(body=b"one\ntwo\nthree", calls=[("next", None), ("readlines", 4), ("readline", 2)])
def test_body_with_a_length_reads_as_its_twin(client: Client, body: bytes, calls: list[Call]) -> None:
    check(client, b"Content-Length: %d\r\n\r\n" % len(body) + body, body, calls)


@PROPERTY
@given(body=BODIES, calls=CALLS, sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=8))
def test_chunked_body_reads_as_its_twin(
    client: Client, body: bytes, calls: list[Call], sizes: list[int]
) -> None:
    # Tiny chunks only where there are few: 200,000 of one byte would show nothing more.
    least = len(body) // 500 + 1
    chunks: list[bytes] = []
    at = 0
    while at < len(body):
        piece = body[at : at + max(least, sizes[len(chunks) % len(sizes)])]
        chunks.append(b"%x\r\n%s\r\n" % (len(piece), piece))
        at += len(piece)
    check(client, b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunks) + b"0\r\n\r\n", body, calls)
