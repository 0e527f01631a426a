"""PEP 3333, The start_response() Callable: once, checked, and replaceable until the head is on its way."""

from __future__ import annotations

import sys
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from tests.apps import GET, PLAIN, answering
from tests.raw_client import Client, ask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from tests.apps import Serve


def starting(status: Any, headers: Any) -> WSGIApplication:
    """An application that gives anything at all to start_response."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] == "/well":
            start_response("200 OK", PLAIN)
            return [b"well"]
        start_response(status, headers() if callable(headers) else headers)
        return [b"should not be seen"]

    return application


def fail(text: str) -> NoReturn:
    """Stands for what goes wrong in an application."""
    raise ValueError(text)


def check_refused(serve: Serve, capfd: pytest.CaptureFixture[str], application: WSGIApplication) -> str:
    """The client gets a plain 500, the server goes on, and the log tells; its text is returned."""
    served = serve(application)
    answer = ask(served.address, GET)
    assert (answer.status, answer.body) == (500, b"500 Internal Server Error\n")
    assert ask(served.address, GET.replace(b"/ ", b"/well ")).body == b"well"
    served.stop()
    log = capfd.readouterr().err
    assert "GET / answered 500" in log
    return log


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        ("200 OK", 200, "OK"),
        ("404 Not here", 404, "Not here"),
        ("404", 404, ""),
        ("404 ", 404, ""),
        ("299 Tr\xe8s bien", 299, "Tr\xe8s bien"),
        ("999 Last", 999, "Last"),
        ("200 ok  with   spaces\tand tab", 200, "ok  with   spaces\tand tab"),
    ],
)
def test_status_and_reason_go_out_as_given(serve: Serve, status: str, code: int, reason: str) -> None:
    head = ask(serve(answering(b"x", status=status)).address, GET).head
    assert (head.status, head.reason) == (code, reason)


@pytest.mark.parametrize(
    "status",
    [
        "", "9", "20", "99 Nope", "000 Zero", "099 Low", "2000", "200OK", "abc", "+20 x", "-20 x", " 200 OK",
        "2_0 x", "0x1 x", "\uff12\uff10\uff10 OK", "\u0662\u0660\u0660 OK", "200\tOK", "200 OK\r\nX: y",
        "200 OK\n", "200 O\0K", "200 \u20ac", "100 Continue", "101 Switching Protocols", "199 Interim",
        "200 \ud800",
    ],
)  # fmt: skip
def test_malformed_status_is_answered_500(
    serve: Serve, capfd: pytest.CaptureFixture[str], status: str
) -> None:
    assert "status" in check_refused(serve, capfd, starting(status, PLAIN))


@pytest.mark.parametrize("status", [None, 200, b"200 OK", ["200 OK"]])
def test_status_that_is_no_str_is_answered_500(
    serve: Serve, capfd: pytest.CaptureFixture[str], status: object
) -> None:
    log = check_refused(serve, capfd, starting(status, PLAIN))
    assert f"the status must be a str, found {type(status).__name__}" in log


@pytest.mark.parametrize("headers", [None, (("A", "b"),), {"A": "b"}, "A: b", lambda: iter([("A", "b")])])
def test_headers_that_are_no_list_are_answered_500(
    serve: Serve, capfd: pytest.CaptureFixture[str], headers: object
) -> None:
    assert "the headers must be a list" in check_refused(serve, capfd, starting("200 OK", headers))


@pytest.mark.parametrize(
    ("header", "named"),
    [
        (["X-A", "b"], "header 1 must be a tuple"),
        ("X-A: b", "header 1 must be a tuple"),
        (("X-A",), "header 1 must be a tuple"),
        (("X-A", "b", "c"), "header 1 must be a tuple"),
        ((b"X-A", "b"), "name of a header must be a str"),
        ((None, "b"), "name of a header must be a str"),
        (("X-A", b"b"), "X-A"),
        (("X-A", 1), "X-A"),
        (("X-A", None), "X-A"),
        (("", "b"), "name"),
        (("X A", "b"), "X A"),
        (("X-A:", "b"), "X-A:"),
        (("X-A ", "b"), "X-A "),
        (("X-\xe9", "b"), "X-"),
        (("X-A\r\nX-B", "b"), "X-A"),
        (("X-A", "b\r\nX-B: c"), "X-A"),
        (("X-A", "b\nX-B: c"), "X-A"),
        (("X-A", "b\rc"), "X-A"),
        (("X-A", "b\r\n c"), "X-A"),
        (("X-A", "b\0c"), "X-A"),
        (("X-A", "b\x7fc"), "X-A"),
        (("X-A", "\u20ac"), "X-A"),
        (("X-A", "\ud800"), "X-A"),
        (("X-\u20ac", "b"), "X-"),
    ],
)
def test_malformed_header_is_answered_500_and_named_in_the_log(
    serve: Serve, capfd: pytest.CaptureFixture[str], header: object, named: str
) -> None:
    log = check_refused(serve, capfd, starting("200 OK", [("X-First", "fine"), header]))
    assert named in log.split("ApplicationError")[-1]


@pytest.mark.parametrize(
    "value",
    ["", "+3", "-1", "0x12", "1_8", "18, 18", "18 18", "1.8e1", "\uff11\uff18", "18446744073709551616"],
)
def test_content_length_that_is_no_number_is_answered_500(
    serve: Serve, capfd: pytest.CaptureFixture[str], value: str
) -> None:
    log = check_refused(serve, capfd, starting("200 OK", [("Content-Length", value)]))
    assert "Content-Length" in log


def test_content_length_given_twice_is_answered_500(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    headers = [("Content-Length", "18"), ("content-length", "18")]
    assert "Content-Length" in check_refused(serve, capfd, starting("200 OK", headers))


def test_second_call_without_exc_info_is_answered_500(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", PLAIN)
        if environ["PATH_INFO"] != "/well":
            start_response("201 Created", PLAIN)
        return [b"well"]

    assert "start_response was called a second time" in check_refused(serve, capfd, application)


def test_second_call_after_the_head_was_sent_aborts(serve: Serve) -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"first"
        start_response("500 Oops", PLAIN)
        yield b"never"

    with Client(serve(application).address) as client:
        client.send(GET)
        assert client.read_head().status == 200
        rest = client.read_to_reset()
    assert b"never" not in rest
    assert not rest.endswith(b"0\r\n\r\n")


def test_call_with_exc_info_before_the_head_replaces_status_and_headers(serve: Serve) -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("X-First", "1"), ("Content-Length", "99"), ("Date", "never")])
        try:
            fail("found late")
        except ValueError:
            start_response("503 Custom reason", [("X-Second", "2")], sys.exc_info())
        return [b"replaced"]

    answer = ask(serve(application).address, GET)
    assert (answer.status, answer.head.reason, answer.body) == (503, "Custom reason", b"replaced")
    assert answer.head.field("X-Second") == "2"
    assert not answer.head.has("X-First")
    assert answer.head.field("Content-Length") == "8"
    assert answer.head.field("Date") != "never"


def test_first_call_may_have_exc_info(serve: Serve) -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        try:
            fail("found at once")
        except ValueError:
            start_response("500 Oops", PLAIN, sys.exc_info())
        return [b"page"]

    assert ask(serve(application).address, GET).body == b"page"


def test_call_with_exc_info_after_the_head_raises_that_exception(serve: Serve) -> None:
    raised: SimpleQueue[tuple[BaseException, bool]] = SimpleQueue()

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"first"
        error = ValueError("found after the head")
        try:
            try:
                raise error
            except ValueError:
                start_response("500 Oops", PLAIN, sys.exc_info())
        except ValueError as again:
            raised.put((again, again is error))
            raise
        yield b"never"

    with Client(serve(application).address) as client:
        client.send(GET)
        assert client.read_head().status == 200
        assert b"never" not in client.read_to_reset()
    assert raised.get(timeout=10)[1]


def test_exc_info_of_none_counts_as_none(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", PLAIN, None)
        if environ["PATH_INFO"] != "/well":
            start_response("200 OK", PLAIN, None)
        return [b"well"]

    check_refused(serve, capfd, application)


def test_head_is_not_sent_before_the_first_chunk_that_is_not_empty(serve: Serve) -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b""
        yield b""
        try:
            fail("still in time")
        except ValueError:
            start_response("500 In time", PLAIN, sys.exc_info())
        yield b"page"

    answer = ask(serve(application).address, GET)
    assert (answer.head.reason, answer.body) == ("In time", b"page")


def test_generator_may_call_start_response_on_its_first_step(serve: Serve) -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("418 Lazy", [("X-Lazy", "1")])
        yield b"page"

    answer = ask(serve(application).address, GET)
    assert (answer.status, answer.head.field("X-Lazy"), answer.body) == (418, "1", b"page")


@pytest.mark.parametrize("chunks", [[], [b"page"], [b""], [b"a", b"b"]])
@pytest.mark.parametrize("is_generator", [False, True])
def test_start_response_never_called_is_answered_500(
    serve: Serve, capfd: pytest.CaptureFixture[str], chunks: list[bytes], is_generator: bool
) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        if environ["PATH_INFO"] == "/well":
            start_response("200 OK", PLAIN)
            return [b"well"]
        return (chunk for chunk in chunks) if is_generator else chunks

    assert "start_response was not called" in check_refused(serve, capfd, application)


def test_repeated_fields_go_out_in_order(serve: Serve) -> None:
    fields = [("Set-Cookie", "a=1"), ("X-Between", ""), ("Set-Cookie", "b=2"), ("set-cookie", "c=3")]
    head = ask(serve(answering(b"x", fields=fields)).address, GET).head
    assert head.fields[:4] == tuple(fields)


def test_field_values_lose_the_whitespace_around_them_only(serve: Serve) -> None:
    head = ask(serve(answering(b"x", fields=[("X-A", " \tb  c\t ")])).address, GET).head
    assert head.field("X-A") == "b  c"


def test_names_of_the_arguments_do_not_matter_to_positional_calls(serve: Serve) -> None:
    def application(_environ: WSGIEnvironment, start_response: Any) -> list[bytes]:
        assert callable(start_response("200 OK", []))
        return [b"called"]

    assert ask(serve(application).address, GET).body == b"called"
