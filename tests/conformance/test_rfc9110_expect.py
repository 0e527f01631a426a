"""RFC 9110 section 10.1.1, Expect: one expectation is known, others are refused.

What the gateway makes of it is in test_pep3333_expect_continue.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apps import GET, echo, echo_body
from tests.raw_client import Client

if TYPE_CHECKING:
    from tests.apps import Serve


@pytest.mark.parametrize(
    "value", [b"200-ok", b"100-continue, x", b"100-continue;q=1", b"100-continue2", b"x"]
)
def test_unknown_expectation_is_refused_with_417_and_nothing_behind_it_is_read(
    serve: Serve, value: bytes
) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: " + value + b"\r\nContent-Length: 5\r\n\r\n"
    with Client(serve(echo).address) as client:
        client.send(head + b"hello" + GET)
        answer = client.read_answer()
        assert (answer.status, answer.interim) == (417, ())
        client.expect_close()


@pytest.mark.parametrize("value", [b"100-continue", b"100-CONTINUE", b"100-Continue"])
def test_expectation_is_the_same_in_any_case(serve: Serve, value: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: " + value + b"\r\nContent-Length: 5\r\n\r\n"
    with Client(serve(echo_body).address) as client:
        client.send(head)
        assert client.read_head().status == 100
        client.send(b"hello")
        assert client.read_answer().body == b"hello"
        assert client.ask(GET).status == 200


def test_pipelined_answer_comes_before_the_100_of_the_request_behind_it(serve: Serve) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    with Client(serve(echo_body).address) as client:
        client.send(GET + head)
        assert client.read_head().status == 200
        assert client.read_head().status == 100
        client.send(b"hello")
        assert client.read_answer().body == b"hello"
