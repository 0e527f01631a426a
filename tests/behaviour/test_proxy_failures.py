"""Proxy and upstreams that fail, are slow, break off, or are not who they say: what client and log get."""

from __future__ import annotations

import datetime
import io
import ipaddress
import socket
import ssl
import threading
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from barkeep.middleware.proxy import Proxy
from tests.apps import answering, echo
from tests.behaviour.fake_upstream import OK, WAIT_S, Upstream
from tests.middleware_cases import Answer, call, make_environ

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
    assert log.startswith(f"Proxy: 502 for GET '/api/\\r\\n': {url}: NewConnectionError: ")
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


def test_an_upstream_that_does_not_take_the_upload_is_504(upstream: Upstream) -> None:
    # More than what the kernel keeps of both sides.
    body = bytes(32 * 1024 * 1024)
    answer = call(
        Proxy({"/": upstream.url}, timeout=0.1, connect_timeout=WAIT_S)(answering(b"")),
        make_environ(method="POST", body=body),
    )
    assert answer.status == "504 Gateway Timeout"


def test_a_connection_is_free_again_after_an_answer_that_nobody_read_to_its_end(
    upstream: Upstream,
) -> None:
    application = Proxy({"/": upstream.url}, connections=1)(answering(b""))
    answers: list[Answer] = []

    def ask(take_chunks: int | None) -> None:
        answers.append(call(application, make_environ(), take_chunks))

    for take_chunks in (1, None):
        asking = threading.Thread(target=ask, args=(take_chunks,))
        asking.start()
        hop = upstream.accept()
        hop.read_head()
        hop.send(OK if take_chunks is None else b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        asking.join(WAIT_S)
    assert [answer.body for answer in answers] == [b"half", b"ok"]


def test_a_connection_that_was_idle_for_too_long_is_not_used_again(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barkeep.middleware.upstream_pool.KEEP_ALIVE_S", 0.0)
    application = Proxy({"/": upstream.url})(answering(b""))
    for _ in range(2):
        asking = threading.Thread(target=call, args=(application,))
        asking.start()
        hop = upstream.accept()
        hop.read_head()
        hop.send(OK)
        asking.join(WAIT_S)


def test_many_threads_share_few_connections(serve: Serve) -> None:
    application = Proxy({"/": serve(answering(b"hello")).url}, connections=2)(answering(b""))
    bodies: list[bytes] = []

    def ask_often() -> None:
        bodies.extend(call(application).body for _ in range(25))

    threads = [threading.Thread(target=ask_often) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert bodies == [b"hello"] * 200


@pytest.mark.parametrize("is_trusted", [False, True])
def test_an_upstream_over_tls_must_have_a_certificate_that_the_system_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_trusted: bool
) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(WAIT_S)
        application = Proxy({"/": f"https://127.0.0.1:{listener.getsockname()[1]}"}, retries=0)
        answers: list[Answer] = []
        asking = threading.Thread(target=lambda: answers.append(call(application(answering(b"")))))
        asking.start()
        with (
            listener.accept()[0] as plain,
            suppress(ssl.SSLError),
            context.wrap_socket(plain, server_side=True) as connection,
        ):
            connection.recv(65536)
            connection.sendall(OK)
            asking.join(WAIT_S)
        asking.join(WAIT_S)
    assert [answer.status for answer in answers] == ["200 OK" if is_trusted else "502 Bad Gateway"]


def self_signed(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    files = directory / "certificate.pem", directory / "key.pem"
    files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return files


def test_a_header_that_cannot_be_sent_on_is_400(upstream: Upstream) -> None:
    assert statuses_and_log(Proxy({"/": upstream.url}), HTTP_X_BAD="a\r\nb")[0] == "400 Bad Request"
