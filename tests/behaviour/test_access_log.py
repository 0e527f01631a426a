"""Step 6 from outside - the access log: a line for every request, however it ended, and none forged."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import barkeep
from tests.behaviour.clients import CutShortError
from tests.behaviour.kinds import Connect, Serve, Spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

SHORT_S = 0.3
TEXT = ("Content-Type", "text/plain")
COMBINED = re.compile(
    r"(?P<client>\S+) - - \[\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} \+0000\] "
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d+) (?P<bytes>\d+) '
    r'"(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)"'
)


class Logged:
    """A server with an access log in JSON, of which a test reads the records when the server has stopped."""

    def __init__(self, serve: Serve, path: Path, application: Any, **settings: object) -> None:
        self._path = path
        more = {"access_log": str(path), "access_log_format": "json", **settings}
        self.server: barkeep.Server = serve(application, **more)

    def lines(self, graceful_timeout: float | None = None) -> list[str]:
        """Every line, after a stop: nothing of the log waits then."""
        self.server.stop(graceful_timeout=graceful_timeout)
        return self._path.read_text().splitlines()

    def records(self, graceful_timeout: float | None = None) -> list[dict[str, Any]]:
        """Every line as what it says."""
        return [json.loads(line) for line in self.lines(graceful_timeout)]


class Application:
    """Reads the body, then answers; /wait waits first, /fail fails mid-stream, /large is 1 MiB and more."""

    def __init__(self) -> None:
        self.arrived, self.may_go_on = threading.Semaphore(0), threading.Event()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.input"].read()
        path = environ["PATH_INFO"]
        if path == "/wait":
            self.arrived.release()
            self.may_go_on.wait()
        start_response("200 OK", [TEXT])
        if path == "/fail":
            return fail_mid_stream()
        return [bytes(4_000_000) if path == "/large" else b"hello"]

    def wait_for_arrival(self) -> None:
        assert self.arrived.acquire(timeout=20)


def fail_mid_stream() -> Iterable[bytes]:
    """A chunk, then an error."""
    yield b"before"
    raise RuntimeError("on purpose")


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def logged(serve: Serve, cleanup: ExitStack, tmp_path: Path, application: Application) -> Logged:
    made = Logged(
        serve, tmp_path / "access.log", application, threads=2, head_timeout=SHORT_S, body_timeout=SHORT_S
    )
    cleanup.callback(application.may_go_on.set)
    return made


def test_combined_form_is_that_of_other_servers(
    serve: Serve, connect: Connect, tmp_path: Path, application: Application
) -> None:
    logged = Logged(serve, tmp_path / "log", application, access_log_format="combined")
    client = connect(logged.server)
    client.ask("/path?a=b", "Referer: http://example.org/", "User-Agent: Some Browser/1.0")
    connect(logged.server).ask("/bare")
    full, bare = (COMBINED.fullmatch(line) for line in logged.lines())
    assert full is not None
    assert bare is not None
    assert full.groupdict() == {
        "client": "127.0.0.1",
        "request": "GET /path?a=b HTTP/1.1",
        "status": "200",
        "bytes": "5",
        "referer": "http://example.org/",
        "agent": "Some Browser/1.0",
    }
    assert (bare["referer"], bare["agent"]) == ("-", "-")


def test_format_string_puts_named_fields_into_its_own_text(
    serve: Serve, connect: Connect, tmp_path: Path, application: Application
) -> None:
    form = "{{{method}}} {path}?{query} -> {status} {outcome} {host}"
    logged = Logged(serve, tmp_path / "log", application, access_log_format=form)
    connect(logged.server).ask("/path?a=b")
    assert logged.lines() == ["{GET} /path?a=b -> 200 complete localhost"]


def test_json_record_says_who_what_and_how_it_ended(logged: Logged, connect: Connect) -> None:
    client = connect(logged.server)
    client.post("/path?a=b", b"body", "User-Agent: agent", "Referer: there")
    client.answer()
    (record,) = logged.records()
    expected = {
        "client": "127.0.0.1",
        "client_port": client.socket.getsockname()[1],
        "method": "POST",
        "target": "/path?a=b",
        "path": "/path",
        "query": "a=b",
        "protocol": "HTTP/1.1",
        "host": "localhost",
        "status": 200,
        "bytes_sent": 5,
        "bytes_received": 4,
        "referer": "there",
        "user_agent": "agent",
        "outcome": "complete",
        "pid": os.getpid(),
    }
    assert {key: record[key] for key in expected} == expected
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", record["time"])


def test_times_say_where_a_request_spent_them(
    logged: Logged, connect: Connect, application: Application
) -> None:
    for _ in range(2):
        connect(logged.server).get("/wait")
        application.wait_for_arrival()
    slow_head = connect(logged.server)
    slow_head.send(b"GET /queued HTTP/1.1\r\nHost: ")
    assert not slow_head.has_news(SHORT_S / 3)
    slow_head.send(b"localhost\r\n\r\n")
    assert not slow_head.has_news(SHORT_S)
    application.may_go_on.set()
    assert slow_head.answer().status == 200
    records = {record["path"]: record for record in logged.records()}
    queued, waited = records["/queued"], records["/wait"]
    assert queued["head_us"] >= 50_000
    assert queued["queue_us"] >= 200_000
    assert waited["app_us"] >= 200_000
    for record in records.values():
        parts = [record[name] for name in ("head_us", "queue_us", "app_us", "write_us")]
        assert record["total_us"] >= sum(parts) - 4
        assert record["total_us"] < 20_000_000


def test_time_to_write_is_that_of_a_slow_reader(logged: Logged, connect: Connect) -> None:
    client = connect(logged.server, is_slow=True)
    client.get("/large")
    client.receive_until(lambda received: b"\r\n\r\n" in received)
    witness = connect(logged.server)
    witness.send(b"GET")
    assert witness.answer().status == 408
    witness.close()
    assert len(client.answer().body) == 4_000_000
    (record,) = [record for record in logged.records() if record["path"] == "/large"]
    assert record["write_us"] + record["app_us"] >= 200_000
    assert record["bytes_sent"] == 4_000_000


def test_pipelined_requests_have_a_line_each_in_their_order(logged: Logged, connect: Connect) -> None:
    client = connect(logged.server)
    for number in range(20):
        client.get(f"/{number}")
    for _ in range(20):
        client.answer()
    assert [record["path"] for record in logged.records()] == [f"/{number}" for number in range(20)]


@pytest.mark.parametrize(
    ("sent", "status", "outcome"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400, "refused"),
        (b"GET / HTTP/3.0\r\nHost: localhost\r\n\r\n", 505, "refused"),
        (b"nonsense\r\n\r\n", 400, "refused"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000000000\r\n\r\n", 413, "refused"),
        (b"GET /slow HTTP/1.1\r\n", 408, "timed-out"),
        (b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf", 408, "timed-out"),
    ],
)
def test_refused_and_timed_out_requests_have_a_line(
    logged: Logged, connect: Connect, sent: bytes, status: int, outcome: str
) -> None:
    client = connect(logged.server)
    client.send(sent)
    _host, port = client.socket.getsockname()
    assert client.answer().status == status
    client.close()
    (record,) = logged.records()
    assert (record["status"], record["outcome"], record["client_port"]) == (status, outcome, port)


def test_refused_request_is_logged_with_what_was_read_of_it(logged: Logged, connect: Connect) -> None:
    client = connect(logged.server)
    client.send(b"POST /upload?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000000000\r\n\r\n")
    assert client.answer().status == 413
    client.close()
    (record,) = logged.records()
    assert (record["method"], record["target"]) == ("POST", "/upload?x=1")


def test_truncated_request_has_a_line(logged: Logged, connect: Connect) -> None:
    client = connect(logged.server)
    client.post("/cut", b"half", length=8)
    client.finish()
    assert client.answer().status == 400
    client.close()
    (record,) = logged.records()
    assert (record["path"], record["status"], record["outcome"]) == ("/cut", 400, "refused")


def test_upload_that_is_reset_has_a_line(logged: Logged, connect: Connect) -> None:
    client = connect(logged.server)
    client.post("/reset", b"half", length=8)
    assert connect(logged.server).ask("/other").status == 200
    client.reset()
    records = {record["path"]: record for record in logged.records()}
    assert (records["/reset"]["status"], records["/reset"]["outcome"]) == (0, "aborted")


def test_answer_that_fails_mid_stream_has_a_line(logged: Logged, connect: Connect) -> None:
    client = connect(logged.server)
    client.get("/fail")
    with pytest.raises(CutShortError):
        client.answer()
    (record,) = logged.records()
    assert (record["status"], record["outcome"]) == (200, "aborted")


def test_answer_that_the_client_did_not_take_has_a_line(
    logged: Logged, connect: Connect, application: Application
) -> None:
    client = connect(logged.server, is_slow=True)
    client.get("/large")
    client.receive_until(lambda received: b"\r\n\r\n" in received)
    client.reset()
    (record,) = logged.records()
    assert (record["path"], record["outcome"]) == ("/large", "aborted")


def test_unfinished_and_queued_requests_have_a_line_when_the_server_is_stopped_at_once(
    logged: Logged, connect: Connect, application: Application
) -> None:
    for _ in range(2):
        connect(logged.server).get("/wait")
        application.wait_for_arrival()
    connect(logged.server).get("/queued")
    connect(logged.server).post("/half", b"half", length=8)
    witness = connect(logged.server)
    witness.send(b"nonsense\r\n\r\n")
    assert witness.answer().status == 400
    records = [record for record in logged.records(graceful_timeout=0) if record["outcome"] == "aborted"]
    assert sorted(record["path"] for record in records) == ["/half", "/queued", "/wait", "/wait"]


def test_head_request_sends_no_bytes_of_body(logged: Logged, connect: Connect) -> None:
    client = connect(logged.server)
    client.send(b"HEAD /head HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert client.answer("HEAD").status == 200
    (record,) = logged.records()
    assert (record["method"], record["bytes_sent"]) == ("HEAD", 0)


FORGERY = 'agent" 200 5\\" "x'
FORGED_BYTES = (
    b"GET /%s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: %s\r\nReferer: \xff\x80\xc3\xa9\t}{\r\n\r\n"
)


@pytest.mark.parametrize("form", ["combined", "json", '{client} "{user_agent}" "{referer}" {status}'])
def test_request_cannot_forge_a_field_or_a_line(
    serve: Serve, connect: Connect, tmp_path: Path, application: Application, form: str
) -> None:
    logged = Logged(serve, tmp_path / "log", application, access_log_format=form)
    client = connect(logged.server)
    client.send(FORGED_BYTES % (b"%0d%0aforged", FORGERY.encode()))
    assert client.answer().status == 200
    (line,) = logged.lines()
    assert line.isascii()
    assert line.isprintable()
    if form == "json":
        record = json.loads(line)
        assert record["user_agent"] == FORGERY
        assert record["referer"] == "\xff\x80\xc3\xa9\t}{"
    elif form == "combined":
        found = COMBINED.fullmatch(line)
        assert found is not None
        assert (found["status"], found["agent"]) == ("200", r"agent\" 200 5\\\" \"x")


def test_refused_bytes_cannot_forge_a_line(logged: Logged, connect: Connect) -> None:
    client = connect(logged.server)
    client.send(b"GET /\x00\x1b[2J\x85\xe2\x80\xa8 HTTP/1.1\nforged: 1\n\n\r\n\r\n")
    assert client.answer().status == 400
    client.close()
    (line,) = logged.lines()
    assert line.isascii()
    assert json.loads(line)["status"] == 400


def test_access_log_on_standard_output_is_whole_at_the_end(spawn: Spawn, connect: Connect) -> None:
    server = spawn("--access-log", "-", "--access-log-format", "{target} {status}")
    client = connect(server.address())
    for number in range(50):
        assert client.ask(f"/?{number}").status == 200
    assert server.stop() == 0
    assert server.output().splitlines() == [f"/?{number} 200" for number in range(50)]


def test_access_log_is_opened_anew_on_sigusr1_and_loses_no_line(
    spawn: Spawn, connect: Connect, tmp_path: Path
) -> None:
    log, rotated = tmp_path / "access.log", tmp_path / "access.log.1"
    server = spawn("--access-log", str(log), "--access-log-format", "{target}")
    client = connect(server.address())
    asked = 0
    for _ in range(20):
        client.ask(f"/?{asked}")
        asked += 1
    log.rename(rotated)
    server.send(signal.SIGUSR1)
    while not log.exists() and asked < 100_000:
        client.ask(f"/?{asked}")
        asked += 1
    for _ in range(20):
        client.ask(f"/?{asked}")
        asked += 1
    assert server.stop() == 0
    before, after = rotated.read_text().splitlines(), log.read_text().splitlines()
    assert before + after == [f"/?{number}" for number in range(asked)]
    assert len(after) >= 20


def test_no_line_is_written_for_a_connection_without_a_request(logged: Logged, connect: Connect) -> None:
    silent, idle = connect(logged.server), connect(logged.server)
    assert idle.ask("/one").status == 200
    assert silent.end() == b""
    assert [record["path"] for record in logged.records()] == ["/one"]
