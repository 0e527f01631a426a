"""Proxy between a real client, a Barkeep server and an upstream that the test plays byte by byte."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import barkeep
from barkeep.middleware.proxy import Proxy
from tests.apps import answering, echo
from tests.behaviour.clients import CutShortError
from tests.behaviour.fake_upstream import OK, WAIT_S, Upstream

if TYPE_CHECKING:
    from tests.behaviour.clients import Client
    from tests.behaviour.kinds import Connect, Serve


@pytest.fixture
def upstream(cleanup: ExitStack) -> Upstream:
    return cleanup.enter_context(closing(Upstream()))


@pytest.fixture
def client(upstream: Upstream, serve: Serve, connect: Connect) -> Client:
    """Connected to a server that passes /api on to the upstream's /v2."""
    piece = Proxy({"/api": f"{upstream.url}/v2"}, timeout=WAIT_S, via="here")
    return connect(serve(piece(echo), request_buffer=1024))


def test_a_request_goes_on_with_its_fields_and_its_answer_comes_back(
    upstream: Upstream, client: Client
) -> None:
    client.get(
        "/api/a%2Fb?q=1", "Accept: text/html", "Connection: X-Mine", "X-Mine: 1", "X-Forwarded-For: 1.2.3.4"
    )
    hop = upstream.accept()
    line, fields = hop.read_head()
    assert line == "GET /v2/a%2Fb?q=1 HTTP/1.1"
    assert fields == {
        "host": upstream.url.removeprefix("http://"),
        "accept": "text/html",
        "via": "1.1 here",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-proto": "http",
        "x-forwarded-host": "localhost",
        "x-forwarded-port": fields["x-forwarded-port"],
        "x-forwarded-prefix": "/api",
    }
    hop.send(
        b"HTTP/1.1 302 Over There\r\nLocation: /v2/x\r\nConnection: X-Own\r\nX-Own: 1\r\nVia: 1.1 inner\r\n"
        b"Content-Length: 3\r\n\r\nabc"
    )
    answer = client.answer()
    assert (answer.status, answer.body) == (302, b"abc")
    assert answer.field("location") == "/api/x"
    assert answer.field("via") == "1.1 inner, 1.1 here"
    assert answer.field("x-own") is None


def test_other_paths_go_to_the_application(client: Client) -> None:
    assert client.ask("/apis").status == 200


def test_a_connection_is_kept_for_the_next_request(upstream: Upstream, client: Client) -> None:
    client.get("/api/1")
    hop = upstream.accept()
    for number in (1, 2, 3):
        assert hop.read_head()[0] == f"GET /v2/{number} HTTP/1.1"
        hop.send(OK)
        assert client.answer().body == b"ok"
        if number < 3:
            client.get(f"/api/{number + 1}")


def test_a_request_body_goes_on_while_it_arrives(upstream: Upstream, client: Client) -> None:
    half = b"a" * 65536
    client.send(b"POST /api/ HTTP/1.1\r\nHost: a\r\nContent-Length: 131072\r\n\r\n", half)
    hop = upstream.accept()
    assert hop.read_head()[1]["content-length"] == "131072"
    assert hop.read(65536) == half
    client.send(half)
    assert hop.read(65536) == half
    hop.send(OK)
    assert client.answer().status == 200


def test_a_body_in_chunks_goes_on_in_chunks(upstream: Upstream, client: Client) -> None:
    body = b"z" * 3000
    client.send(b"PUT /api/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
    hop = upstream.accept()
    fields = hop.read_head()[1]
    assert fields["transfer-encoding"] == "chunked"
    assert "content-length" not in fields
    assert hop.read_until(b"0\r\n\r\n").count(b"z") == len(body)
    hop.send(OK)
    assert client.answer().status == 200


def test_an_upload_that_the_client_breaks_off_never_looks_whole(upstream: Upstream, client: Client) -> None:
    client.send(b"POST /api/ HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n", b"a" * 70000)
    hop = upstream.accept()
    hop.read_head()
    hop.read(65536)
    client.reset()
    assert hop.is_ended()


def test_an_answer_that_comes_before_the_end_of_the_upload_is_passed_back(
    upstream: Upstream, client: Client
) -> None:
    client.send(b"POST /api/ HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n", b"a" * 65536)
    hop = upstream.accept()
    hop.read_head()
    hop.read(65536)
    hop.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    client.send(b"a" * (70000 - 65536))
    assert client.answer().status == 413


def test_an_answer_goes_back_while_it_arrives(upstream: Upstream, client: Client) -> None:
    client.get("/api/")
    hop = upstream.accept()
    hop.read_head()
    hop.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
    client.receive_until(lambda received: b"first" in received)
    hop.send(b"6\r\nsecond\r\n0\r\n\r\n")
    assert client.answer().body == b"firstsecond"


def test_an_answer_that_is_cut_is_visibly_cut(upstream: Upstream, client: Client) -> None:
    client.get("/api/")
    hop = upstream.accept()
    hop.read_head()
    hop.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    client.receive_until(lambda received: b"half" in received)
    hop.close()
    with pytest.raises(CutShortError):
        client.answer()


def test_the_upstream_sees_that_the_client_has_gone(upstream: Upstream, client: Client) -> None:
    client.get("/api/")
    hop = upstream.accept()
    hop.read_head()
    hop.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
    client.receive_until(lambda received: b"x\r\n" in received)
    client.reset()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        hop.send_for_ever()


def test_interim_answers_are_not_the_answer(upstream: Upstream, client: Client) -> None:
    client.get("/api/")
    hop = upstream.accept()
    hop.read_head()
    hop.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)
    assert client.answer().body == b"ok"


def test_head_204_and_304_have_no_body_and_keep_the_connection(upstream: Upstream, client: Client) -> None:
    client.send(b"HEAD /api/ HTTP/1.1\r\nHost: a\r\n\r\n")
    hop = upstream.accept()
    hop.read_head()
    hop.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    assert client.answer("HEAD").field("content-length") == "1000"
    for status in (b"204 No Content", b"304 Not Modified"):
        client.get("/api/")
        hop.read_head()
        hop.send(b"HTTP/1.1 " + status + b'\r\nETag: "x"\r\n\r\n')
        assert client.answer().body == b""


def test_an_answer_without_a_length_ends_with_its_connection(upstream: Upstream, client: Client) -> None:
    client.get("/api/")
    hop = upstream.accept()
    hop.read_head()
    hop.send(b"HTTP/1.0 200 OK\r\n\r\nfirst ")
    client.receive_until(lambda received: b"first" in received)
    hop.send(b"second")
    hop.close()
    answer = client.answer()
    assert (answer.body, answer.field("via")) == (b"first second", "1.0 here")


@pytest.mark.parametrize("end", [b"5\r\nhalf", b"4\r\nhalf\r\n", b"4\r\nhalf\r\nzz\r\n"])
def test_chunks_that_are_cut_or_broken_never_look_whole(
    upstream: Upstream, client: Client, end: bytes
) -> None:
    client.get("/api/")
    hop = upstream.accept()
    hop.read_head()
    hop.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + end)
    client.receive_until(lambda received: b"half" in received)
    hop.close()
    with pytest.raises(CutShortError):
        client.answer()


def test_a_proxy_to_itself_over_a_unix_socket_finds_the_loop(tmp_path: Path, connect: Connect) -> None:
    path = f"{tmp_path}/loop.sock"
    application = Proxy({"/": f"unix:{path}"})(answering(b""))
    with barkeep.Server(application, bind=f"unix:{path}"):
        assert connect(path).ask("/").status == 508


def test_the_upstream_may_get_the_host_of_the_client(
    upstream: Upstream, serve: Serve, connect: Connect
) -> None:
    client = connect(serve(Proxy({"/": upstream.url}, host="client", forwarded="forwarded")(echo)))
    client.get("/", "Via: 1.0 outer")
    hop = upstream.accept()
    fields = hop.read_head()[1]
    assert fields["host"] == "localhost"
    assert fields["forwarded"] == 'for=127.0.0.1;proto=http;host="localhost"'
    assert fields["via"].startswith("1.0 outer, 1.1 barkeep-")
    assert not [name for name in fields if name.startswith("x-forwarded")]
    hop.send(OK)
    client.answer()
