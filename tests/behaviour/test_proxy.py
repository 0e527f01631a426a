"""Proxy between a real client, a Barkeep server and an upstream that the test plays byte by byte."""

from __future__ import annotations

import io
import socket
import threading
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import barkeep
from barkeep.middleware.proxy import Proxy
from tests.apps import answering, echo
from tests.behaviour.clients import CutShortError
from tests.middleware_cases import call, make_environ

if TYPE_CHECKING:
    from tests.behaviour.clients import Client
    from tests.behaviour.kinds import Connect, Serve

WAIT_S = 20.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Upstream:
    """A listening socket on a free port. The test accepts, reads and answers itself."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(WAIT_S)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._accepted: list[Connection] = []

    def accept(self) -> Connection:
        connection, _ = self._listener.accept()
        connection.settimeout(WAIT_S)
        self._accepted.append(Connection(connection))
        return self._accepted[-1]

    def close(self) -> None:
        for connection in self._accepted:
            connection.close()
        self._listener.close()


class Connection:
    """One connection from the proxy."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._unread = b""

    def read_until(self, mark: bytes) -> bytes:
        while mark not in self._unread:
            received = self._socket.recv(65536)
            assert received, f"closed before {mark!r}: {self._unread!r}"
            self._unread += received
        found, _mark, self._unread = self._unread.partition(mark)
        return found + mark

    def read(self, count: int) -> bytes:
        while len(self._unread) < count:
            received = self._socket.recv(65536)
            assert received, "closed too early"
            self._unread += received
        found, self._unread = self._unread[:count], self._unread[count:]
        return found

    def read_head(self) -> tuple[str, dict[str, str]]:
        line, *fields = self.read_until(b"\r\n\r\n").decode("latin-1").splitlines()[:-1]
        return line, {
            name.lower(): value for name, _colon, value in (field.partition(": ") for field in fields)
        }

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def is_ended(self) -> bool:
        """Waits for the proxy to close it."""
        return self._socket.recv(1) == b""

    def send_for_ever(self) -> None:
        """Chunks, until an error says that nobody takes them."""
        while True:
            self.send(b"400\r\n" + b"x" * 1024 + b"\r\n")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def upstream(cleanup: ExitStack) -> Upstream:
    return cleanup.enter_context(closing(Upstream()))


@pytest.fixture
def client(upstream: Upstream, serve: Serve, connect: Connect) -> Client:
    """Connected to a server that passes /api on to the upstream's /v2."""
    piece = Proxy({"/api": f"{upstream.url}/v2"}, timeout=WAIT_S, name="here")
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


def test_a_connection_that_ends_without_an_answer_is_tried_again_once(
    upstream: Upstream, client: Client
) -> None:
    client.get("/api/")
    for _ in range(2):
        hop = upstream.accept()
        hop.read_head()
        hop.close()
    assert client.answer().status == 502


def test_what_may_not_be_sent_twice_is_not_tried_again(upstream: Upstream, client: Client) -> None:
    client.post("/api/", b"once")
    hop = upstream.accept()
    hop.read_head()
    hop.close()
    assert client.answer().status == 502
    client.get("/api/next")
    assert upstream.accept().read_head()[0] == "GET /v2/next HTTP/1.1"


def test_a_second_try_that_is_answered_is_all_the_client_sees(upstream: Upstream, client: Client) -> None:
    client.get("/api/")
    hop = upstream.accept()
    hop.read_head()
    hop.close()
    second = upstream.accept()
    second.read_head()
    second.send(OK)
    assert client.answer().body == b"ok"


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA b: c\r\n\r\n",
    ],
)
def test_an_answer_that_is_none_becomes_502(upstream: Upstream, client: Client, answer: bytes) -> None:
    client.post("/api/", b"x")
    hop = upstream.accept()
    hop.read_head()
    hop.send(answer)
    assert client.answer().status == 502


def statuses_and_log(piece: Proxy, **environ: str) -> tuple[str, str]:
    found, log = make_environ("/api/\r\n"), io.StringIO()
    found.update(environ)
    found["wsgi.errors"] = log
    return call(piece(answering(b"")), found).status, log.getvalue()


def test_an_upstream_that_is_not_there_is_502_and_the_log_says_why() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    status, log = statuses_and_log(Proxy({"/": url}))
    assert status == "502 Bad Gateway"
    assert log.startswith(f"Proxy: 502 for GET '/api/\\r\\n': {url}: ConnectError: ")
    assert log.count("\n") == 1


def test_an_upstream_that_is_silent_is_504(upstream: Upstream) -> None:
    status, log = statuses_and_log(Proxy({"/": upstream.url}, timeout=0.05))
    assert status == "504 Gateway Timeout"
    assert "ReadTimeout" in log


def test_no_free_connection_in_time_is_503(upstream: Upstream) -> None:
    application = Proxy({"/": upstream.url}, connections=1, connect_timeout=0.05)(answering(b""))
    first: list[str] = []
    asking = threading.Thread(target=lambda: first.append(call(application).status))
    asking.start()
    hop = upstream.accept()
    hop.read_head()
    answer = call(application)
    assert (answer.status, answer.field("Retry-After")) == ("503 Service Unavailable", "1")
    hop.send(OK)
    asking.join(WAIT_S)
    assert first == ["200 OK"]


def test_a_header_that_cannot_be_sent_on_is_400(upstream: Upstream) -> None:
    assert statuses_and_log(Proxy({"/": upstream.url}), HTTP_X_BAD="a\r\nb")[0] == "400 Bad Request"


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
