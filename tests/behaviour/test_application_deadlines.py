"""Steps 5 and 6 from outside - the application's time: 504 when it is over, and only its own time counts."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from barkeep.errors import ClientGone, RequestTimeout
from barkeep.listeners import open_listeners
from barkeep.server import Service
from barkeep.settings import Settings
from tests.behaviour.clients import WAIT_S, Client, CutShortError
from tests.behaviour.gates import Gate
from tests.behaviour.hanging import MIB, TEXT, Application
from tests.behaviour.kinds import Connect, Serve, Spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

    import barkeep

    Start = Callable[..., barkeep.Server]

SHORT_S = 0.3


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def start(serve: Serve, application: Application, cleanup: ExitStack) -> Start:
    """Serve the application, and let its threads go before the server stops."""

    def start(**settings: object) -> barkeep.Server:
        server = serve(application, **settings)
        cleanup.callback(application.let_go)
        return server

    return start


def let_time_pass(connect: Connect, server: barkeep.Server, deadlines: int) -> None:
    """As long as so many requests take to reach their deadline, one after another."""
    for _ in range(deadlines):
        assert connect(server).ask("/other").status == 504


@pytest.mark.parametrize("kind", ["sleep", "lock", "loop"])
def test_hanging_request_is_answered_504_and_its_neighbours_200(
    spawn: Spawn, connect: Connect, gate: Gate, kind: str
) -> None:
    address = spawn("--threads", "4", "--timeout", "1s", "--timeout-for", "/gate=0").address()
    neighbour, hanging = connect(address), connect(address)
    neighbour.get("/gate")
    gate.wait_for(1)
    hanging.get(f"/hang/{kind}")
    for _ in range(20):
        assert connect(address).ask("/").status == 200
    answer = hanging.answer()
    assert (answer.status, answer.body, answer.field("connection")) == (
        504,
        b"504 Gateway Timeout\n",
        "close",
    )
    assert hanging.end() == b""
    gate.open()
    assert neighbour.answer().body == b"let go"


def test_head_request_gets_its_504_without_a_body(
    start: Start, connect: Connect, application: Application
) -> None:
    client = connect(start(timeout=SHORT_S))
    client.send(b"HEAD /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert client.answer("HEAD").status == 504
    assert client.end() == b""


def test_late_answer_never_reaches_the_connection(
    start: Start, connect: Connect, application: Application
) -> None:
    server = start(threads=1, timeout=SHORT_S)
    client = connect(server)
    # The second request was sent ahead: it is not answered either, and the client was told so.
    client.send(
        b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\nGET /never HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )
    assert client.answer().status == 504
    application.may_go_on.set()
    assert client.end() == b""
    assert connect(server).ask("/next").body == b"/next"
    assert "/never" not in application.called


def test_application_that_writes_too_late_finds_nobody(serve: Serve, connect: Connect) -> None:
    may_write = threading.Event()
    raised: list[BaseException] = []
    done = threading.Event()

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            may_write.wait(WAIT_S)
        except RequestTimeout:
            may_write.wait(WAIT_S)
        try:
            start_response("200 OK", [TEXT])(b"late")
        except BaseException as error:
            raised.append(error)
            raise
        finally:
            done.set()
        return []

    server = serve(application, timeout=SHORT_S, timeout_grace=60)
    assert connect(server).ask().status == 504
    may_write.set()
    assert done.wait(WAIT_S)
    assert isinstance(raised[0], (ClientGone, RequestTimeout))


def test_stream_that_lives_longer_than_the_timeout_is_not_cut(
    start: Start, connect: Connect, application: Application
) -> None:
    server = start(timeout=2.0, timeout_for=["/other=150ms"])
    client = connect(server)
    began_s = time.monotonic()
    client.get("/stream")
    assert (client.head(), client.chunk()) == (200, b"chunk 0")
    number = 0
    while time.monotonic() - began_s < 2.5:
        let_time_pass(connect, server, 1)
        number += 1
        application.may_give.release()
        assert client.chunk() == b"chunk %d" % number
    assert number > 2


def test_stream_that_stops_is_aborted_so_that_the_client_sees_it(
    start: Start, connect: Connect, application: Application
) -> None:
    client = connect(start(timeout=SHORT_S))
    client.get("/stream")
    assert (client.head(), client.chunk()) == (200, b"chunk 0")
    assert client.was_reset()


def test_time_that_a_slow_upload_takes_does_not_count(
    start: Start, connect: Connect, application: Application
) -> None:
    server = start(timeout=SHORT_S, request_buffer=0)
    client = connect(server)
    client.post("/upload", b"half", length=8)
    let_time_pass(connect, server, 3)
    client.send(b"half")
    assert client.answer().body == b"8"


def test_time_that_a_slow_reader_takes_does_not_count(
    start: Start, connect: Connect, application: Application
) -> None:
    server = start(timeout=1.0, timeout_for=["/other=500ms"], response_buffer=65536)
    client = connect(server, is_slow=True)
    client.get("/zeros")
    client.receive_until(lambda received: b"\r\n\r\n" in received)
    let_time_pass(connect, server, 4)
    assert client.answer().body == bytes(8 * MIB)


def test_request_that_no_thread_takes_in_time_is_shed(
    start: Start, connect: Connect, application: Application
) -> None:
    server = start(threads=1, timeout=SHORT_S, timeout_for=["/wait=0"])
    busy, queued = connect(server), connect(server)
    busy.get("/wait")
    application.wait_for(1)
    answer = queued.ask("/queued")
    assert (answer.status, answer.field("retry-after")) == (503, "1")
    assert answer.field("connection") == "close"
    application.may_go_on.set()
    assert busy.answer().body == b"/wait"
    assert connect(server).ask("/next").body == b"/next"
    assert application.called == ["/wait", "/next"]


def test_longest_prefix_says_how_long_a_request_may_take(
    start: Start, connect: Connect, application: Application
) -> None:
    server = start(timeout=SHORT_S, timeout_for={"/wait": 0})
    long = connect(server)
    long.get("/wait")
    application.wait_for(1)
    let_time_pass(connect, server, 2)
    application.may_go_on.set()
    assert long.answer().body == b"/wait"


def test_deadline_is_in_the_environ_when_there_is_one(
    start: Start, connect: Connect, application: Application
) -> None:
    client = connect(start(timeout=60, timeout_for=["/deadline=30s"]))
    before_s = time.monotonic()
    deadline_s = float(client.ask("/deadline").body)
    assert before_s + 30 <= deadline_s <= time.monotonic() + 30
    assert connect(start(timeout=60, timeout_for=["/deadline=0"])).ask("/deadline").body == b"None"
    assert connect(start(timeout=0)).ask("/deadline").body == b"None"


def test_no_request_is_timed_out_when_the_timeout_is_off(
    start: Start, connect: Connect, application: Application
) -> None:
    server = start(timeout=0)
    other = start(timeout=SHORT_S)
    client = connect(server)
    client.get("/wait")
    application.wait_for(1)
    let_time_pass(connect, other, 2)
    application.may_go_on.set()
    assert client.answer().body == b"/wait"


def test_access_log_tells_what_was_timed_out_and_what_was_shed(
    start: Start, connect: Connect, application: Application, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    server = start(
        threads=1,
        timeout=SHORT_S,
        timeout_grace=60,
        access_log=str(log),
        access_log_format="json",
    )
    stream = connect(server)
    stream.get("/stream")
    assert stream.was_reset()
    application.may_give.release()
    assert connect(server).ask("/wait").status == 504
    # The thread is still at it: nobody takes this one.
    assert connect(server).ask("/queued").status == 503
    application.may_go_on.set()
    server.stop()
    records = [json.loads(line) for line in log.read_text().splitlines()]
    told = [(record["path"], record["status"], record["outcome"]) for record in records]
    assert told == [
        ("/stream", 200, "timed-out"),
        ("/wait", 504, "timed-out"),
        ("/queued", 503, "shed"),
    ]
    assert [record["bytes_sent"] for record in records] == [len(b"chunk 0"), 0, 0]
    assert records[1]["app_us"] >= SHORT_S * 1e6 > records[2]["app_us"]
    assert records[2]["queue_us"] >= SHORT_S * 1e6


def test_request_of_a_client_that_has_gone_still_has_its_deadline(
    serve: Serve, connect: Connect, cleanup: ExitStack
) -> None:
    may_end, raised, gone = threading.Event(), threading.Event(), threading.Event()

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        try:
            while not gone.is_set():
                yield bytes(65536)
        finally:
            # The write has failed; what is left to do hangs.
            try:
                while not may_end.wait(0.01):
                    pass
            except RequestTimeout:
                raised.set()
                raise

    server = serve(application, timeout=SHORT_S, response_buffer=65536)
    cleanup.callback(may_end.set)
    client = connect(server)
    client.get()
    client.receive_until(lambda received: b"\r\n\r\n" in received)
    client.reset()
    assert raised.wait(WAIT_S)


@pytest.fixture
def service(application: Application, cleanup: ExitStack) -> Service:
    settings = Settings.from_kwargs(bind="127.0.0.1:0", timeout=3600, threads=1)
    made = Service(settings, open_listeners(settings))
    made.start(application)
    cleanup.callback(made.close)
    cleanup.callback(application.let_go)
    return made


def client_of(service: Service, cleanup: ExitStack) -> Client:
    host, _, port = service.listeners[0].url.removeprefix("http://").rpartition(":")
    client = Client((host, int(port)))
    cleanup.callback(client.close)
    return client


def test_operator_can_end_a_running_request(
    service: Service, application: Application, cleanup: ExitStack
) -> None:
    client = client_of(service, cleanup)
    client.get("/wait")
    application.wait_for(1)
    assert not service.engine.kill_request(0, 2)
    assert not service.engine.kill_request(7, 1)
    assert not service.engine.kill_request(0, 1, first_byte_ns=1)
    assert service.engine.kill_request(0, 1)
    assert client.answer().status == 504
    assert not service.engine.kill_request(0, 1)


def test_operator_can_end_a_queued_request(
    service: Service, application: Application, cleanup: ExitStack
) -> None:
    running, queued = client_of(service, cleanup), client_of(service, cleanup)
    running.get("/wait")
    application.wait_for(1)
    queued.get("/queued")
    # The I/O thread takes them in their order: when this one is refused, the other is in the queue.
    witness = client_of(service, cleanup)
    witness.send(b"bad\r\n\r\n")
    assert witness.answer().status == 400
    assert service.engine.kill_request(1, 1)
    assert queued.answer().status == 504
    application.may_go_on.set()
    assert running.answer().status == 200
    assert application.called == ["/wait"]


def test_cut_stream_does_not_look_complete(start: Start, connect: Connect, application: Application) -> None:
    client = connect(start(timeout=SHORT_S))
    client.send(b"GET /stream HTTP/1.0\r\n\r\n")
    with pytest.raises(CutShortError, match="reset"):
        client.answer()
