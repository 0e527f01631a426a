"""PEP 3333, Other HTTP Features: what is the server's to do, and what passes through untouched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apps import GET, answering, read_nothing, streaming
from tests.raw_client import Client, ask

if TYPE_CHECKING:
    from tests.apps import Serve

HOP_BY_HOP = [
    ("Connection", "close"),
    ("connection", "X-Role"),
    ("Keep-Alive", "timeout=5"),
    ("Proxy-Authenticate", "Basic"),
    ("Proxy-Authorization", "Basic x"),
    ("TE", "trailers"),
    ("Trailers", "X-Sum"),
    ("Transfer-Encoding", "chunked"),
    ("transfer-ENCODING", "identity"),
    ("Upgrade", "websocket"),
]


@pytest.mark.parametrize("field", HOP_BY_HOP, ids=lambda field: field[0])
def test_hop_by_hop_field_of_the_application_is_answered_500_and_named_in_the_log(
    serve: Serve, capfd: pytest.CaptureFixture[str], field: tuple[str, str]
) -> None:
    served = serve(answering(b"x", fields=[field]))
    assert ask(served.address, GET).status == 500
    served.stop()
    assert f'"{field[0]}" is hop-by-hop' in capfd.readouterr().err


def test_date_and_server_are_added(serve: Serve) -> None:
    head = ask(serve(answering(b"x")).address, GET).head
    assert head.field("Server") == "barkeep"
    assert head.field("Date").endswith(" GMT")


def test_date_and_server_of_the_application_are_kept(serve: Serve) -> None:
    fields = [("date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("SERVER", "mine")]
    head = ask(serve(answering(b"x", fields=fields)).address, GET).head
    assert (head.field("Date"), head.field("Server")) == (fields[0][1], "mine")


@pytest.mark.parametrize(("name", "expected"), [("pub/1", ["pub/1"]), ("", [])])
def test_server_field_is_a_setting(serve: Serve, name: str, expected: list[str]) -> None:
    address = serve(answering(b"x"), server_header=name).address
    assert ask(address, GET).head.all("Server") == expected
    assert ask(address, b"bad\r\n\r\n").head.all("Server") == expected


def test_content_type_is_never_made_up(serve: Serve) -> None:
    assert not ask(serve(answering(b"x", fields=[])).address, GET).head.has("Content-Type")


def test_body_that_the_application_encoded_passes_untouched(serve: Serve) -> None:
    fields = [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"), ("ETag", '"x"')]
    answer = ask(serve(answering(b"\x1f\x8bnot really", fields=fields)).address, GET)
    assert answer.body == b"\x1f\x8bnot really"
    assert answer.head.fields[:3] == tuple(fields)


def test_range_is_left_to_the_application(serve: Serve) -> None:
    request = GET.replace(b"\r\n\r\n", b"\r\nRange: bytes=0-1\r\n\r\n")
    answer = ask(serve(answering(b"abcd")).address, request)
    assert (answer.status, answer.body) == (200, b"abcd")
    partial = answering(b"ab", status="206 Partial Content", fields=[("Content-Range", "bytes 0-1/4")])
    answer = ask(serve(partial).address, request)
    assert (answer.status, answer.head.field("Content-Range")) == (206, "bytes 0-1/4")


def test_conditional_request_is_left_to_the_application(serve: Serve) -> None:
    request = GET.replace(b"\r\n\r\n", b'\r\nIf-None-Match: "x"\r\n\r\n')
    assert ask(serve(answering(b"new", fields=[("ETag", '"x"')])).address, request).body == b"new"


@pytest.mark.parametrize("application", [answering(b"one", b"two"), streaming(b"one", b"two")])
def test_pipelined_requests_are_invisible_to_the_application(serve: Serve, application: object) -> None:
    with Client(serve(application).address) as client:
        client.send(GET * 5)
        assert [client.read_answer().body for _ in range(5)] == [b"onetwo"] * 5


def test_application_sees_the_path_of_the_server_wide_options(serve: Serve) -> None:
    assert ask(serve(read_nothing).address, b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").body == b""
