"""Any requests in any pieces over a socket give the same environ and body as they do in one piece."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.apps import GET, Served, echo
from tests.properties.profile import PROPERTY
from tests.raw_client import Address, Client

TOKEN_BYTES = "!#$%&'*+-.^`|~0123456789ABCXYZabcxyz"
# "_" is left out: such names are dropped (docs/adr/0006). So are names that mean something to the server.
NAMES = st.text(TOKEN_BYTES, min_size=1, max_size=12).map(lambda name: "X-" + name)
VALUE_BYTES = st.binary(max_size=20).map(
    lambda value: bytes(byte for byte in value if byte == 9 or 32 <= byte != 127).strip(b" \t")
)
PATHS = st.lists(
    st.one_of(
        st.sampled_from(list("/abc.~-_;=@:!$&'()*+,")), st.integers(0, 255).map(lambda byte: f"%{byte:02X}")
    ),
    max_size=15,
).map(lambda parts: "/" + "".join(parts))
QUERIES = st.text("abc=&%?/", max_size=10)


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, dict[str, Any]]:
    """The bytes of one request, and what the application must be told of it."""
    method = draw(
        st.one_of(st.sampled_from(["GET", "POST", "PUT"]), st.text(TOKEN_BYTES, min_size=1, max_size=9))
    )
    method = "M" + method if method in ("CONNECT", "HEAD") else method
    path, query = draw(PATHS), draw(QUERIES)
    fields = draw(st.lists(st.tuples(NAMES, VALUE_BYTES), max_size=6))
    body = draw(st.one_of(st.just(b""), st.binary(max_size=100)))
    lines = [f"{method} {path}?{query} HTTP/1.1".encode(), b"Host: a"]
    told: dict[str, str] = {}
    for name, value in fields:
        lines.append(name.encode() + b": " + value)
        key = "HTTP_" + name.upper().replace("-", "_")
        text = value.decode("latin-1")
        told[key] = f"{told[key]},{text}" if key in told else text
    if draw(st.booleans()):
        lines.append(b"Content-Length: %d" % len(body))
        framed = body
    else:
        lines.append(b"Transfer-Encoding: chunked")
        at = draw(st.integers(0, len(body)))
        pieces = [piece for piece in (body[:at], body[at:]) if piece]
        framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    facts = {"method": method, "path": path, "query": query, "fields": told, "body": body.decode("latin-1")}
    return b"\r\n".join([*lines, b"", framed]), facts


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    """One server for all examples."""
    served = Served(echo)
    yield served.address
    served.stop()


@pytest.fixture(scope="module")
def other(address: Address) -> Iterator[Client]:
    """A connection whose answers prove that the I/O thread has had its turn with all others."""
    with Client(address) as client:
        yield client


def facts_of(body: bytes) -> dict[str, Any]:
    """What the application was told, in the words of `requests`."""
    told = json.loads(body)
    environ = told["environ"]
    path, _, query = environ["RAW_URI"].partition("?")
    assert query == environ["QUERY_STRING"]
    fields = {key: value for key, value in environ.items() if key.startswith("HTTP_X_")}
    return {
        "method": environ["REQUEST_METHOD"],
        "path": path,
        "query": query,
        "fields": fields,
        "body": told["body"],
    }


@PROPERTY
@given(sent=st.lists(requests(), min_size=1, max_size=4), cuts=st.lists(st.floats(0, 1), max_size=6))
def test_requests_in_any_pieces_are_what_was_sent(
    address: Address, other: Client, sent: list[tuple[bytes, dict[str, Any]]], cuts: list[float]
) -> None:
    data = b"".join(request for request, _ in sent)
    places = sorted({int(cut * len(data)) for cut in cuts} | {0, len(data)})
    with Client(address) as client:
        for begin, end in pairwise(places):
            client.send(data[begin:end])
            other.ask(GET)
        for _, facts in sent:
            assert facts_of(client.read_answer().body) == facts
        client.finish()
        client.expect_close()
