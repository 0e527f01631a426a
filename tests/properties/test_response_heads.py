"""Whatever an application gives to start_response, the client sees exactly that, or a plain 500."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.apps import Served
from tests.properties.profile import PROPERTY
from tests.raw_client import Address, Client

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

TEXTS = st.one_of(
    st.text("abc \t-:,\r\n\0\x7f\x85\xa0\xe9\u20ac", max_size=8),
    st.text(max_size=4),
    st.text("aB-z09", max_size=8),
)
STATUSES = st.one_of(
    st.sampled_from(["200 OK", "404 Not Found", "304 Not Modified", "204 No Content", "500", "200 "]),
    st.tuples(st.integers(0, 1100), TEXTS).map(lambda parts: f"{parts[0]} {parts[1]}"),
    TEXTS,
)
NAMES = st.one_of(
    st.sampled_from(["X-A", "Set-Cookie", "Content-Type", "Date", "Server", "Content-Length", "Connection"]),
    TEXTS,
)
VALUES = st.one_of(TEXTS, st.sampled_from(["", "0", "5", "-1", "close"]))
ANYTHING: st.SearchStrategy[Any] = st.one_of(st.none(), st.integers(), st.binary(max_size=3), TEXTS)
HEADERS: st.SearchStrategy[Any] = st.one_of(
    st.lists(st.tuples(NAMES, VALUES), max_size=4),
    st.lists(st.one_of(st.tuples(ANYTHING, ANYTHING), st.tuples(NAMES), ANYTHING), max_size=2),
    ANYTHING,
)


@dataclass
class Plan:
    """What the application is to give. One example at a time."""

    status: Any = ""
    headers: Any = field(default_factory=list)


PLAN = Plan()


def application(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Give what the plan says."""
    start_response(PLAN.status, PLAN.headers)
    return [b"right"]


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    """One server that must live through all examples."""
    served = Served(application)
    yield served.address
    served.stop()


@PROPERTY
@given(status=st.one_of(STATUSES, ANYTHING), headers=HEADERS)
@example(status="99 Nope", headers=[])
@example(status="200 OK", headers=[("X-A", "b\r\nX-B: c")])
@example(status="200 OK\r\nX-B: c", headers=[])
def test_head_goes_out_as_given_or_as_500(address: Address, status: Any, headers: Any) -> None:
    PLAN.status, PLAN.headers = status, headers
    with Client(address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        try:
            received = client.read_to_end()
        except AssertionError:
            # Only a length that the body does not reach is cut.
            assert any(str(value) != "5" for name, value in headers if name.lower() == "content-length")
            return
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines)
    if body == b"500 Internal Server Error\n":
        assert lines[0] == b"HTTP/1.1 500 Internal Server Error"
        return
    code, _, reason = status.partition(" ")
    assert lines[0] == f"HTTP/1.1 {code} {reason}".encode("latin-1")
    own = [
        (b"%s: %s" % (name.encode("latin-1"), value.strip(" \t").encode("latin-1")))
        for name, value in headers
    ]
    given_lines = [line for line in own if not line.lower().startswith(b"content-length:")]
    assert lines[1 : 1 + len(given_lines)] == given_lines
