"""Lint is not seen: what an application does within the rules comes out the same, and nothing is told."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from barkeep.lint import Lint
from barkeep.testing import ClosingIterable, MemoryExchange, make_environ
from tests.properties.profile import PROPERTY

if TYPE_CHECKING:
    from barkeep.lint import Finding

# Enough bytes in a chunk that no body is told for tiny ones.
CHUNKS = st.lists(st.binary(max_size=64), max_size=6)
FORMS = st.sampled_from(["list", "tuple", "generator", "lazy", "written", "object"])


class Answering:
    """An application that answers in one of the ways that PEP 3333 allows."""

    def __init__(self, chunks: list[bytes], form: str, has_length: bool, status: str) -> None:
        self.chunks = chunks
        self.form = form
        self.headers = [("Content-Type", "text/plain")]
        if has_length:
            self.headers.append(("Content-Length", str(sum(map(len, chunks)))))
        self.status = status
        self.bodies: list[ClosingIterable] = []

    def __call__(self, _environ: Any, start_response: Any) -> Any:
        if self.form == "lazy":
            return self._lazy(start_response)
        write = start_response(self.status, list(self.headers))
        if self.form == "written":
            for chunk in self.chunks:
                write(chunk)
            return []
        if self.form == "object":
            self.bodies.append(ClosingIterable(self.chunks))
            return self.bodies[-1]
        if self.form == "generator":
            return (chunk for chunk in self.chunks)
        return tuple(self.chunks) if self.form == "tuple" else list(self.chunks)

    def _lazy(self, start_response: Any) -> Any:
        start_response(self.status, list(self.headers))
        yield from self.chunks


def answer_of(application: Any, taken: int | None) -> tuple[str, list[tuple[str, str]], list[bytes]]:
    exchange = MemoryExchange(application, make_environ())
    chunks = [chunk for chunk, _number in zip(exchange, range(100 if taken is None else taken), strict=False)]
    exchange.close()
    return exchange.status, exchange.headers, chunks


@PROPERTY
@given(
    chunks=CHUNKS,
    form=FORMS,
    has_length=st.booleans(),
    status=st.sampled_from(["200 OK", "404 Not Found", "503 "]),
    taken=st.none() | st.integers(0, 3),
)
def test_answer_is_the_same_with_lint_and_nothing_is_told(
    chunks: list[bytes], form: str, has_length: bool, status: str, taken: int | None
) -> None:
    application = Answering(chunks, form, has_length, status)
    found: list[Finding] = []
    bare = answer_of(application, taken)
    assert answer_of(Lint(Lint(application, report=found.append), report=found.append), taken) == bare
    # write() is allowed, and advised against.
    assert [str(finding) for finding in found if finding.code != "BK214"] == []
    assert all(body.close_count == 1 for body in application.bodies)


@PROPERTY
@given(
    body=st.binary(max_size=40).map(lambda data: data.replace(b"\x00", b"\n")),
    calls=st.lists(
        st.tuples(st.sampled_from(["read", "readline", "readlines"]), st.integers(1, 50)), max_size=6
    ),
)
def test_request_body_is_the_same_with_lint(body: bytes, calls: list[tuple[str, int]]) -> None:
    twin = io.BytesIO(body)
    seen: list[bool] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        stream = environ["wsgi.input"]
        for name, size in calls:
            seen.append(getattr(stream, name)(size) == getattr(twin, name)(size))
        seen.append(list(stream) == list(twin))
        start_response("204 No Content", [])
        return []

    environ = make_environ("POST", "/", body=body)
    MemoryExchange(Lint(application, report=lambda _finding: None), environ).close()
    assert all(seen)
