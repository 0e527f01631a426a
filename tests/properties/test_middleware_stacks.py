"""Any order of any subset of the streaming middlewares leaves a body what it was, and closes it once."""

from __future__ import annotations

import gc
import io
from typing import TYPE_CHECKING, NamedTuple
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

from hypothesis import given
from hypothesis import strategies as st

from barkeep.lint import Lint
from barkeep.middleware.request_id import current_request_id
from barkeep.middleware.stack import wrapped
from tests.middleware_cases import Tracked, call, decoded, make_environ
from tests.middleware_pieces import PIECES
from tests.properties.profile import PROPERTY

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from barkeep.middleware.registry import Piece

# What lint says of the applications here: that write() is there for old code only.
NOT_THEIRS = ("BK214",)

FORMS = ("list", "tuple", "iterable", "generator", "generator that starts late", "write", "file")


class Described(NamedTuple):
    """An application in words, so that hypothesis can show it."""

    form: str
    chunks: tuple[bytes, ...]
    tells_length: bool
    fields: tuple[tuple[str, str], ...]
    method: str
    accepted: str


described = st.builds(
    Described,
    form=st.sampled_from(FORMS),
    chunks=st.lists(st.one_of(st.binary(max_size=30), st.just(b"again and " * 30)), max_size=5).map(tuple),
    tells_length=st.booleans(),
    fields=st.lists(
        st.sampled_from(
            [
                ("ETag", '"x"'),
                ("Vary", "Cookie"),
                ("Cache-Control", "no-transform"),
                ("Content-Encoding", "identity"),
            ]
        ),
        unique=True,
        max_size=3,
    ).map(tuple),
    method=st.sampled_from(["GET", "GET", "GET", "HEAD"]),
    accepted=st.sampled_from(["", "gzip", "br", "zstd, gzip;q=0.5", "*", "identity"]),
)
orders = st.lists(st.sampled_from(sorted(PIECES)), unique=True, max_size=len(PIECES))


def application_of(what: Described) -> tuple[WSGIApplication, list[Tracked]]:
    chunks = () if what.method == "HEAD" else what.chunks
    length_bytes = sum(map(len, what.chunks))
    headers = [("Content-Type", "text/plain"), *what.fields]
    if what.tells_length:
        headers.append(("Content-Length", str(length_bytes)))
    body = Tracked(chunks)
    reading = io.BytesIO(b"".join(chunks))
    body.read = reading.read  # type: ignore[attr-defined]

    def lazy(start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", headers)
        yield from chunks

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if what.form == "generator that starts late":
            return lazy(start_response)
        write = start_response("200 OK", headers)
        if what.form == "write":
            for chunk in chunks[:2]:
                write(chunk)
            return list(chunks[2:])
        if what.form == "generator":
            return (chunk for chunk in chunks)
        if what.form == "iterable":
            return body
        if what.form == "file":
            return FileWrapper(body)  # type: ignore[arg-type]
        return list(chunks) if what.form == "list" else chunks

    return application, [body] if what.form in ("iterable", "file") else []


@PROPERTY
@given(what=described, order=orders, is_each_checked=st.booleans())
def test_any_stack_leaves_the_body_what_it_was_and_closes_it_once(
    what: Described, order: list[str], is_each_checked: bool
) -> None:
    application, tracked = application_of(what)
    pieces: list[Piece] = []
    for name in order:
        # With a validator between any two, no form of body reaches a piece but an iterator.
        pieces += [PIECES[name](), validator] if is_each_checked else [PIECES[name]()]
    environ = make_environ(method=what.method, HTTP_HOST="a.example", HTTP_ACCEPT_ENCODING=what.accepted)
    environ["wsgi.url_scheme"] = "https"
    answer = call(validator(wrapped(application, pieces)), environ)
    if answer.error is not None:
        raise answer.error
    assert decoded(answer) == (b"" if what.method == "HEAD" else b"".join(what.chunks))
    assert [body.close_count for body in tracked] == [1] * len(tracked)
    told = answer.field("Content-Length")
    if told is not None and what.method != "HEAD":
        assert int(told) == len(answer.body)
    assert current_request_id() == ""


@PROPERTY
@given(what=described, order=orders, take_chunks=st.none() | st.integers(0, 2))
def test_lint_is_silent_on_both_sides_of_every_piece(
    what: Described, order: list[str], take_chunks: int | None
) -> None:
    application, _tracked = application_of(what)
    found: list[str] = []

    def lint(inner: WSGIApplication) -> WSGIApplication:
        return Lint(inner, report=lambda finding: found.append(str(finding)), ignore=NOT_THEIRS)

    pieces: list[Piece] = [lint]
    for name in order:
        pieces += [PIECES[name](), lint]
    environ = make_environ(method=what.method, HTTP_HOST="a.example", HTTP_ACCEPT_ENCODING=what.accepted)
    environ["wsgi.url_scheme"] = "https"
    call(wrapped(application, pieces), environ, take_chunks)
    # What nobody closed is told when it is gone.
    gc.collect()
    assert found == []


@PROPERTY
@given(what=described, order=orders)
def test_a_client_that_goes_away_closes_the_body_once(what: Described, order: list[str]) -> None:
    application, tracked = application_of(what)
    environ = make_environ(method=what.method, HTTP_HOST="a.example", HTTP_ACCEPT_ENCODING=what.accepted)
    environ["wsgi.url_scheme"] = "https"
    call(validator(wrapped(application, [PIECES[name]() for name in order])), environ, take_chunks=0)
    assert [body.close_count for body in tracked] == [1] * len(tracked)
    assert current_request_id() == ""


@PROPERTY
@given(what=described, order=orders)
def test_a_chunk_is_on_its_way_before_the_next_is_made(what: Described, order: list[str]) -> None:
    """One chunk in, one chunk out: whatever the stack, it asks for one at a time."""
    made: list[bytes] = []

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        for chunk in what.chunks:
            made.append(chunk)
            yield chunk

    environ = make_environ(HTTP_HOST="a.example", HTTP_ACCEPT_ENCODING=what.accepted)
    environ["wsgi.url_scheme"] = "https"
    stacked = wrapped(application, [PIECES[name]() for name in order])
    iterable = stacked(environ, lambda *_: lambda _data: None)
    for number, _chunk in enumerate(iterable, start=1):
        assert len(made) <= number
    if hasattr(iterable, "close"):
        iterable.close()
    assert made == list(what.chunks)
