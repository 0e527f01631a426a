"""The server in memory: environ, streams, and the order in which an application's output comes."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barkeep.errors import ApplicationError
from barkeep.testing.environ import make_environ
from barkeep.testing.gateway import MemoryExchange
from barkeep.testing.streams import BodyInput, ErrorText
from tests.properties.profile import PROPERTY

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN = [("Content-Type", "text/plain")]


def test_environ_passes_wsgiref_validate() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        assert environ["wsgi.input"].read(4) == b"body"
        environ["wsgi.errors"].write("told\n")
        start_response("200 OK", PLAIN)
        return [b"answer"]

    environ = make_environ("POST", "/a?b", body=b"body", headers=[("X-A", "1"), ("X-A", "2")])
    exchange = MemoryExchange(validator(application), environ)
    assert list(exchange) == [b"answer"]
    exchange.close()


def test_path_is_decoded_once_and_the_query_is_not() -> None:
    environ = make_environ("GET", "/caf\u00e9/%2525%2F?q=%20\u00e9&r=/")
    assert environ["PATH_INFO"].encode("latin-1") == "/caf\u00e9/%25/".encode()
    assert environ["QUERY_STRING"] == "q=%20%C3%A9&r=/"
    assert environ["REQUEST_URI"] == "/caf%C3%A9/%2525%2F?q=%20%C3%A9&r=/"


def test_root_path_is_taken_from_the_path() -> None:
    environ = make_environ("GET", "/api/users", root_path="/api")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/api", "/users")


def test_repeated_fields_are_joined_as_servers_do() -> None:
    environ = make_environ(headers=[("X-A", "1"), ("X-A", "2"), ("Cookie", "a=1"), ("Cookie", "b=2")])
    assert (environ["HTTP_X_A"], environ["HTTP_COOKIE"]) == ("1,2", "a=1; b=2")


def test_body_in_pieces_has_no_length_and_ends_by_itself() -> None:
    environ = make_environ("POST", "/", body=iter([b"one", b"", b"two"]))
    assert "CONTENT_LENGTH" not in environ
    assert environ["wsgi.input_terminated"] is True
    stream = environ["wsgi.input"]
    assert [stream.read(10), stream.read(2), stream.read(10), stream.read(1)] == [b"one", b"tw", b"o", b""]
    assert stream.bytes_read == 6


@PROPERTY
@given(
    pieces=st.lists(st.binary(max_size=8).map(lambda data: data.replace(b"\x00", b"\n")), max_size=6),
    calls=st.lists(st.tuples(st.sampled_from(["readline", "readlines"]), st.none() | st.integers(1, 9))),
)
def test_lines_are_those_of_bytesio(pieces: list[bytes], calls: list[tuple[str, int | None]]) -> None:
    stream, twin = BodyInput(iter(pieces)), io.BytesIO(b"".join(pieces))
    for name, size in calls:
        assert getattr(stream, name)(size) == getattr(twin, name)(size)
    assert stream.read() == twin.read()


def test_errors_take_str_only() -> None:
    errors = ErrorText()
    errors.writelines(["one\n", "two\n"])
    assert errors.text == "one\ntwo\n"
    with pytest.raises(TypeError, match="takes str, found bytes"):
        errors.write(b"bytes")  # type: ignore[arg-type]


def test_written_chunks_come_before_given_ones() -> None:
    def application(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", PLAIN)(b"written")
        return [b"", b"given"]

    assert list(MemoryExchange(application, make_environ())) == [b"written", b"given"]


def test_head_is_known_before_the_body_is_taken() -> None:
    taken: list[str] = []

    def application(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        for name in ("one", "two"):
            taken.append(name)
            yield name.encode()

    exchange = MemoryExchange(application, make_environ())
    exchange.advance_to_head()
    assert (exchange.status, taken) == ("200 OK", ["one"])
    assert list(exchange) == [b"one", b"two"]


def test_error_after_the_head_is_raised_again() -> None:
    def application(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"begun"
        try:
            int("x")
        except ValueError:
            start_response("500 Oops", PLAIN, sys.exc_info())

    with pytest.raises(ValueError, match="invalid literal"):
        list(MemoryExchange(application, make_environ()))


def test_error_before_the_head_replaces_it() -> None:
    def application(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", PLAIN)
        try:
            int("x")
        except ValueError:
            start_response("500 Oops", PLAIN, sys.exc_info())
        return [b"page"]

    exchange = MemoryExchange(application, make_environ())
    assert (list(exchange), exchange.status) == ([b"page"], "500 Oops")


@pytest.mark.parametrize(
    ("body", "told"),
    [(["text"], "a chunk must be bytes, found str"), (None, "without calling start_response")],
)
def test_what_cannot_be_answered_for_is_an_error(body: Any, told: str) -> None:
    def application(_environ: Any, start_response: Any) -> Any:
        if body is not None:
            start_response("200 OK", PLAIN)
        return body or []

    with pytest.raises(ApplicationError, match=told):
        list(MemoryExchange(application, make_environ()))


def test_close_reaches_the_iterable_once() -> None:
    closed: list[str] = []

    class Body:
        def __iter__(self) -> Any:
            return iter([b"one"])

        def close(self) -> None:
            closed.append("close")

    def application(_environ: Any, start_response: Any) -> Body:
        start_response("200 OK", PLAIN)
        return Body()

    exchange = MemoryExchange(application, make_environ())
    exchange.close()
    exchange.close()
    assert (closed, list(exchange)) == (["close"], [])
