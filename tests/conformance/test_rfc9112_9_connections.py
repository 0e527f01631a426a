"""RFC 9112 section 9, Connection Management: persistence, pipelining, and an end that loses nothing."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.apps import GET, PLAIN, answering, echo_body, read_nothing, streaming
from tests.raw_client import Client

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.apps import Serve

BODY_KINDS = pytest.mark.parametrize(
    "application", [answering(b"x"), answering(), streaming(b"x", b"y"), answering(b"x" * 100_000)]
)


def numbered(count: int) -> bytes:
    """So many requests in a row, each for its number."""
    return b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(count))


@BODY_KINDS
def test_http_11_connection_persists_without_a_word(serve: Serve, application: object) -> None:
    with Client(serve(application).address) as client:
        for _ in range(20):
            assert not client.ask(GET).head.has("Connection")


@pytest.mark.parametrize(
    "value", [b"close", b"Close", b"CLOSE", b"x, close", b"close, TE", b"keep-alive, close"]
)
@BODY_KINDS
def test_close_is_honoured_and_repeated(serve: Serve, application: object, value: bytes) -> None:
    with Client(serve(application).address) as client:
        client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: " + value + b"\r\n\r\n") + GET)
        assert client.read_answer().head.field("Connection") == "close"
        client.expect_close()


@pytest.mark.parametrize("value", [b"closed", b"x-close", b"keep-alive", b"Upgrade", b""])
def test_other_connection_option_does_not_close(serve: Serve, value: bytes) -> None:
    with Client(serve(answering(b"x")).address) as client:
        client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: " + value + b"\r\n\r\n") + GET)
        assert [client.read_answer().status for _ in range(2)] == [200, 200]


def test_http_10_connection_closes_unless_asked(serve: Serve) -> None:
    with Client(serve(answering(b"x")).address) as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n" + GET)
        assert client.read_answer().head.field("Connection") == "close"
        client.expect_close()


def test_http_10_connection_persists_when_asked_and_the_length_is_known(serve: Serve) -> None:
    with Client(serve(answering(b"x")).address) as client:
        for _ in range(3):
            answer = client.ask(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
            assert answer.head.field("Connection") == "keep-alive"


@pytest.mark.parametrize("count", [2, 16, 200])
def test_pipelined_requests_are_answered_in_order(serve: Serve, count: int) -> None:
    with Client(serve(read_nothing).address) as client:
        client.send(numbered(count))
        assert [client.read_answer().body for _ in range(count)] == [b"/%d" % n for n in range(count)]
        assert client.ask(GET).body == b"/"


def test_pipelined_requests_wait_for_a_slow_first(serve: Serve) -> None:
    release = threading.Event()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] == "/0":
            assert release.wait(10)
        start_response("200 OK", PLAIN)
        return [environ["PATH_INFO"].encode()]

    address = serve(application, threads=4).address
    with Client(address) as client, Client(address) as other:
        client.send(numbered(4))
        assert other.ask(GET).body == b"/"
        release.set()
        assert [client.read_answer().body for _ in range(4)] == [b"/0", b"/1", b"/2", b"/3"]


def test_pipelined_bodies_stay_with_their_requests(serve: Serve) -> None:
    requests = [b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % n + b"x" * n for n in range(30)]
    with Client(serve(echo_body).address) as client:
        client.send(b"".join(requests))
        assert [len(client.read_answer().body) for _ in range(30)] == list(range(30))


def test_nothing_is_read_behind_a_request_that_closes(serve: Serve) -> None:
    called: list[str] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        called.append(environ["PATH_INFO"])
        start_response("200 OK", PLAIN)
        return [b"x"]

    served = serve(application)
    with Client(served.address) as client:
        client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + numbered(3))
        client.read_answer()
        client.expect_close()
    served.stop()
    assert called == ["/"]


def test_answers_before_a_malformed_request_are_given_and_none_after_its_refusal(serve: Serve) -> None:
    with Client(serve(read_nothing).address) as client:
        client.send(numbered(3) + b"GET /bad HTTP/1.1\r\nHost : a\r\n\r\n" + numbered(3))
        assert [client.read_answer().body for _ in range(3)] == [b"/0", b"/1", b"/2"]
        assert client.read_answer().status == 400
        client.expect_close()


def test_client_that_has_finished_its_side_still_gets_all_answers(serve: Serve) -> None:
    with Client(serve(streaming(b"a" * 50_000, b"b" * 50_000)).address) as client:
        client.send(numbered(5))
        client.finish()
        for _ in range(5):
            assert len(client.read_answer().body) == 100_000
        client.expect_close()


def test_client_that_leaves_between_requests_is_no_fault(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    served = serve(answering(b"x"))
    with Client(served.address) as client:
        client.ask(GET)
    with Client(served.address):
        pass
    with Client(served.address) as client:
        assert client.ask(GET).status == 200
    served.stop()
    assert capfd.readouterr().err == ""


def test_client_that_leaves_within_a_head_is_told_and_logged(
    serve: Serve, capfd: pytest.CaptureFixture[str]
) -> None:
    served = serve(answering(b"x"))
    with Client(served.address) as client:
        client.send(b"GET / HT")
        client.finish()
        assert client.read_answer().status == 400
        client.expect_close()
    served.stop()
    assert "connection closed before the request was complete" in capfd.readouterr().err


@pytest.mark.parametrize("sent_behind", [10_000, 300_000])
def test_answer_before_a_close_is_not_lost_to_a_client_that_still_sends(
    serve: Serve, sent_behind: int
) -> None:
    # Closing with bytes unread would make the kernel reset the connection: the answer would be lost (9.6).
    body = b"y" * 200_000
    with Client(serve(answering(body)).address) as client:
        client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        client.send(b"x" * sent_behind)
        assert client.read_answer().body == body
        client.expect_close()


def test_server_that_stops_says_close_and_answers_what_was_begun(serve: Serve) -> None:
    is_called, release = threading.Event(), threading.Event()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] == "/":
            is_called.set()
            assert release.wait(10)
        start_response("200 OK", PLAIN)
        return [b"finished"]

    served = serve(application)
    with Client(served.address) as client, Client(served.address) as idle:
        idle.ask(b"GET /idle HTTP/1.1\r\nHost: a\r\n\r\n")
        client.send(GET)
        assert is_called.wait(10)
        stopping = threading.Thread(target=served.stop)
        stopping.start()
        idle.expect_close()
        release.set()
        answer = client.read_answer()
        assert (answer.body, answer.head.field("Connection")) == (b"finished", "close")
        client.expect_close()
        stopping.join(10)
