"""Whatever an application answers arrives equal and framed; a broken promise never looks complete."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.apps import Served
from tests.properties.profile import PROPERTY
from tests.raw_client import Address, Client, CutAnswer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

CHUNKS = st.lists(
    st.one_of(
        st.binary(max_size=50),
        # Around the sizes at which the engine changes how it sends.
        st.sampled_from([32 * 1024, 32 * 1024 + 1, 64 * 1024, 256 * 1024, 300_000]).map(
            lambda size: b"z" * size
        ),
    ),
    max_size=6,
)
KINDS = st.sampled_from(["list", "tuple", "generator", "write", "write and list", "file", "file-like"])


@dataclass
class Plan:
    """What the application is to answer. One example at a time."""

    kind: str = "list"
    chunks: tuple[bytes, ...] = ()
    declared: int | None = None


PLAN = Plan()


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer what the plan says."""
    fields = [] if PLAN.declared is None else [("Content-Length", str(PLAN.declared))]
    write = start_response("200 OK", fields)
    chunks = PLAN.chunks
    match PLAN.kind:
        case "tuple":
            return chunks
        case "generator":
            return iter(chunks)
        case "write" | "write and list":
            at = len(chunks) if PLAN.kind == "write" else len(chunks) // 2
            for chunk in chunks[:at]:
                write(chunk)
            return list(chunks[at:])
        case "file" | "file-like":
            open_file: Any = tempfile.TemporaryFile if PLAN.kind == "file" else io.BytesIO
            file = open_file()
            file.write(b"".join(chunks))
            file.seek(0)
            wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
            return wrapped
    return list(chunks)


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    """One server for all examples."""
    served = Served(application)
    yield served.address
    served.stop()


def request(version: str, method: str) -> bytes:
    """A request that closes, so that every byte too many would be seen."""
    return f"{method} / {version}\r\nHost: a\r\nConnection: close\r\n\r\n".encode()


@PROPERTY
@given(
    chunks=CHUNKS,
    kind=KINDS,
    declared=st.one_of(st.none(), st.just(0), st.integers(-3, 3), st.floats(0, 2)),
    version=st.sampled_from(["HTTP/1.0", "HTTP/1.1"]),
    method=st.sampled_from(["GET", "HEAD"]),
)
def test_answer_arrives_equal_and_framed_or_is_seen_to_be_cut(
    address: Address, chunks: list[bytes], kind: str, declared: float | None, version: str, method: str
) -> None:
    body = b"".join(chunks)
    if declared is not None:
        # A whole number is a distance from the truth, a fraction a part of it.
        near = len(body) + declared if isinstance(declared, int) else len(body) * declared
        declared = max(0, int(near))
    PLAN.kind, PLAN.chunks, PLAN.declared = kind, tuple(chunks), declared
    with Client(address) as client:
        client.send(request(version, method))
        if declared is not None and declared > len(body) and method == "GET":
            with pytest.raises(CutAnswer):
                client.read_answer(method)
            return
        answer = client.read_answer(method)
        client.expect_close()
    assert answer.status == 200
    if method == "HEAD":
        assert answer.framing == "none"
    else:
        assert answer.body == body[:declared]
        if declared is not None:
            assert answer.framing == "length"
            assert answer.head.field("Content-Length") == str(declared)
        elif kind in ("list", "tuple", "file"):
            assert answer.framing == "length"
        elif version == "HTTP/1.0":
            assert answer.framing in ("close", "length")
        else:
            assert answer.framing in ("chunked", "length")


@PROPERTY
@given(plans=st.lists(st.tuples(KINDS, CHUNKS), min_size=2, max_size=4))
def test_answers_on_one_connection_do_not_run_into_each_other(
    address: Address, plans: list[tuple[str, list[bytes]]]
) -> None:
    with Client(address) as client:
        for kind, chunks in plans:
            PLAN.kind, PLAN.chunks, PLAN.declared = kind, tuple(chunks), None
            assert client.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").body == b"".join(chunks)
