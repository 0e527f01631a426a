"""PEP 3333, Unicode Issues: texts stand for bytes, latin-1; bodies are bytes and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apps import GET, PLAIN, answering, echo, environ_of
from tests.raw_client import Client, ask

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.apps import Serve

EVERY_VALUE_BYTE = bytes([*range(0x21, 0x7F), *range(0x80, 0x100)])


def test_every_byte_of_a_request_field_is_one_character(serve: Serve) -> None:
    request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Bytes: " + EVERY_VALUE_BYTE + b"\r\n\r\n"
    environ = environ_of(ask(serve(echo).address, request).body)
    assert environ["HTTP_X_BYTES"].encode("latin-1") == EVERY_VALUE_BYTE


def test_every_escaped_byte_of_a_path_is_one_character(serve: Serve) -> None:
    target = b"/" + b"".join(b"%%%02x" % byte for byte in range(256))
    environ = environ_of(ask(serve(echo).address, b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n").body)
    assert environ["PATH_INFO"].encode("latin-1") == b"/" + bytes(range(256))
    assert environ["RAW_URI"].encode("latin-1") == target


def test_utf_8_in_a_path_is_decoded_by_the_application_through_latin_1(serve: Serve) -> None:
    environ = environ_of(
        ask(serve(echo).address, b"GET /%E2%82%AC%F0%9F%8D%B8 HTTP/1.1\r\nHost: a\r\n\r\n").body
    )
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/€🍸"


def test_every_byte_of_a_response_field_goes_out_as_given(serve: Serve) -> None:
    text = EVERY_VALUE_BYTE.decode("latin-1")
    assert ask(serve(answering(fields=[("X-Bytes", text)])).address, GET).head.field("X-Bytes") == text


def test_latin_1_reason_goes_out_as_one_byte_per_character(serve: Serve) -> None:
    with Client(serve(answering(status="200 \xe9\xff")).address) as client:
        client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert client.read_to_end().startswith(b"HTTP/1.1 200 \xe9\xff\r\n")


@pytest.mark.parametrize(
    ("status", "fields"),
    [("200 \u20ac", []), ("200 OK", [("X-A", "\u0100")]), ("200 OK", [("X-\u0100", "b")])],
)
def test_character_outside_latin_1_is_answered_500(
    serve: Serve, capfd: pytest.CaptureFixture[str], status: str, fields: list[tuple[str, str]]
) -> None:
    served = serve(answering(status=status, fields=fields))
    assert ask(served.address, GET).status == 500
    served.stop()
    assert "latin-1" in capfd.readouterr().err


def test_bodies_are_bytes_in_both_directions(serve: Serve) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        body = environ["wsgi.input"].read()
        start_response("200 OK", PLAIN)
        return [type(body).__name__.encode(), b" ", body]

    body = bytes(range(256))
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 256\r\n\r\n" + body
    assert ask(serve(application).address, request).body == b"bytes " + body
