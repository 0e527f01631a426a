"""Step 6 from outside - clients that do not read: what they hold, and for how long."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.behaviour.clients import Client, CutShortError
from tests.behaviour.kinds import Connect, Serve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

MIB = 1024 * 1024
SHORT_S = 0.3
TEXT = ("Content-Type", "text/plain")


def zeros(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """As many zeros as the path says, in one piece."""
    start_response("200 OK", [TEXT])
    return [bytes(int(environ["PATH_INFO"][1:]))]


def pieces(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    """As many zeros as the path says, in pieces, without a length."""
    start_response("200 OK", [TEXT])
    for _ in range(int(environ["PATH_INFO"][1:]) // 4096):
        yield bytes(4096)


def ask_and_wait_for_the_head(client: Client, target: str) -> None:
    """The answer has begun to arrive, and nothing more of it is read."""
    client.get(target)
    client.receive_until(lambda received: b"\r\n\r\n" in received)


@pytest.mark.parametrize("application", [zeros, pieces])
def test_slow_reader_of_up_to_1_mib_holds_no_application_thread(
    serve: Serve, connect: Connect, application: object
) -> None:
    server = serve(zeros if application is zeros else pieces, threads=1)
    slow = [connect(server, is_slow=True) for _ in range(3)]
    for client in slow:
        ask_and_wait_for_the_head(client, f"/{MIB}")
    assert len(connect(server).ask("/4096").body) == 4096
    assert [len(client.answer().body) for client in slow] == [MIB] * 3


def test_reader_that_stops_is_aborted_at_write_timeout(
    serve: Serve, connect: Connect, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(zeros, write_timeout=SHORT_S)
    client, witness = connect(server, is_slow=True), connect(server)
    ask_and_wait_for_the_head(client, f"/{MIB}")
    wait_for_the_slow(serve, connect)
    assert client.was_reset()
    assert witness.ask("/1").body == b"\0"
    server.stop()
    assert f"aborted {client.name}: answer not read within write_timeout" in capfd.readouterr().err


def test_reader_that_drips_below_the_least_rate_is_aborted(serve: Serve, connect: Connect) -> None:
    server = serve(zeros, write_timeout=SHORT_S, min_data_rate=1_000_000_000)
    client, other = connect(server, is_slow=True), connect(server)
    client.get(f"/{16 * MIB}")

    def read_slowly() -> None:
        received = 0
        while received < 16 * MIB:
            # Never stands still, and takes 1 KB in the time that an answer of another connection takes.
            received += len(client.socket.recv(1000))
            other.ask("/1")

    with pytest.raises(ConnectionResetError):
        read_slowly()


def test_slow_reader_that_goes_on_reading_gets_everything(serve: Serve, connect: Connect) -> None:
    server = serve(zeros, write_timeout=SHORT_S, min_data_rate=0)
    client = connect(server, is_slow=True)
    client.get(f"/{MIB}")
    assert client.answer().body == bytes(MIB)


def test_twelve_unread_answers_of_30_mb_let_others_through_after_write_timeout(
    serve: Serve, connect: Connect
) -> None:
    server = serve(zeros, threads=4, write_timeout=SHORT_S)
    slow = [connect(server, is_slow=True) for _ in range(12)]
    for client in slow:
        client.get(f"/{30 * MIB}")
    # Above response_buffer a producer waits: these hold threads, and no longer than write_timeout each.
    assert connect(server).ask("/1").body == b"\0"
    wait_for_the_slow(serve, connect)
    for client in slow:
        with pytest.raises(CutShortError):
            client.answer()


def test_twelve_unread_answers_of_30_mb_hold_no_thread_when_the_buffer_allows(
    serve: Serve, connect: Connect
) -> None:
    server = serve(zeros, threads=4, response_buffer=32 * MIB)
    for _ in range(12):
        ask_and_wait_for_the_head(connect(server, is_slow=True), f"/{30 * MIB}")
    assert connect(server).ask("/1").body == b"\0"


def test_twelve_unread_files_of_30_mb_hold_no_thread(serve: Serve, connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(30 * MIB))

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        if environ["PATH_INFO"] == "/large":
            files: Iterable[bytes] = environ["wsgi.file_wrapper"]((tmp_path / "large").open("rb"))
            return files
        return [b"small"]

    server = serve(application, threads=1)
    slow = [connect(server, is_slow=True) for _ in range(12)]
    for client in slow:
        ask_and_wait_for_the_head(client, "/large")
    assert connect(server).ask("/").body == b"small"


def test_generator_waits_while_the_outbox_is_above_its_mark(
    serve: Serve, connect: Connect, cleanup: ExitStack
) -> None:
    made: list[int] = []

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        for number in range(3000):
            made.append(number)
            yield bytes(10_000)

    server = serve(application, threads=1, write_timeout=SHORT_S)
    client = connect(server, is_slow=True)
    ask_and_wait_for_the_head(client, "/")
    wait_for_the_slow(serve, connect)
    assert client.was_reset()
    # 30 MB were to be sent; the kernel and the outbox took some and the rest was never made.
    assert len(made) < 1500


def test_pipelined_requests_of_a_client_that_does_not_read_take_bounded_memory(
    serve: Serve, connect: Connect
) -> None:
    made: list[int] = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        made.append(1)
        return zeros(environ, start_response)

    server = serve(application, threads=1, write_timeout=SHORT_S)
    client = connect(server, is_slow=True)
    request = f"GET /{MIB // 4} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    client.send(request * 400)
    wait_for_the_slow(serve, connect)
    assert client.was_reset()
    # 100 MiB were asked for.
    assert len(made) < 100


def wait_for_the_slow(serve: Serve, connect: Connect) -> None:
    """Until some time more than SHORT_S has passed: another server gives up on a head that never ends."""
    witness = connect(serve(zeros, head_timeout=3 * SHORT_S))
    witness.send(b"GET")
    assert witness.answer().status == 408
