"""Steps 3 to 6 from outside - the error log: one event one line, and no text passes for an event."""

from __future__ import annotations

import re
import signal

import pytest

from tests.behaviour.kinds import Connect, Serve, Spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

EVENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \[\d+\] (error|warning|info|debug): .*")
FORGED = "2026-01-01T00:00:00.000000Z [1] info: forged"


def events(log: str) -> list[str]:
    """Lines that pass for an event; `\\n` alone ends a line, as in every log reader."""
    return [line for line in log.split("\n") if EVENT.match(line)]


def test_line_breaks_in_an_error_do_not_forge_an_event(
    serve: Serve, connect: Connect, capfd: pytest.CaptureFixture[str]
) -> None:
    def application(_environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
        raise RuntimeError(f"first\n{FORGED}\r{FORGED}\x85\x1b[2J")

    server = serve(application)
    assert connect(server).ask().status == 500
    server.stop()
    log = capfd.readouterr().err
    assert "forged" in log
    assert not [event for event in events(log) if FORGED in event]
    assert not set("\r\x1b\x85") & set(log)


def test_refused_request_is_one_line_with_peer_status_and_reason(
    serve: Serve, connect: Connect, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(lambda _environ, _start_response: [])
    client = connect(server)
    client.send(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n")
    assert client.answer().status == 400
    name = client.name
    client.close()
    server.stop()
    (event,) = events(capfd.readouterr().err)
    assert f"info: refused {name} with 400: " in event


def test_level_of_the_log_leaves_out_what_matters_less(
    serve: Serve, connect: Connect, capfd: pytest.CaptureFixture[str]
) -> None:
    server = serve(lambda _environ, _start_response: [], log_level="warning")
    client = connect(server)
    client.send(b"nonsense\r\n\r\n")
    assert client.answer().status == 400
    client.close()
    server.stop()
    assert events(capfd.readouterr().err) == []


def test_error_stream_is_logged_line_by_line(
    serve: Serve, connect: Connect, capfd: pytest.CaptureFixture[str]
) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        errors = environ["wsgi.errors"]
        print("one\ntwo", file=errors)
        errors.write("thr")
        errors.write("ee")
        errors.flush()
        errors.writelines(["four\n", "unfinished"])
        start_response("204 No Content", [])
        return []

    server = serve(application)
    assert connect(server).ask().status == 204
    server.stop()
    texts = [event.partition("error: ")[2] for event in events(capfd.readouterr().err)]
    assert texts == ["one", "two", "three", "four", "unfinished"]


def test_target_in_an_event_is_escaped(
    serve: Serve, connect: Connect, capfd: pytest.CaptureFixture[str]
) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raise RuntimeError(environ["PATH_INFO"])

    server = serve(application)
    assert connect(server).ask(f"/%0a{FORGED.replace(' ', '%20')}").status == 500
    server.stop()
    assert not [event for event in events(capfd.readouterr().err) if event.startswith(FORGED)]


def test_log_that_nobody_reads_holds_up_neither_requests_nor_a_stop(spawn: Spawn, connect: Connect) -> None:
    server = spawn()
    address = server.address()
    # Each leaves a traceback of some hundred bytes; a pipe holds 64 KiB.
    for _ in range(500):
        assert connect(address).ask("/no-such-answer").status == 500
    assert connect(address).ask().status == 200
    server.send(signal.SIGTERM)
    assert server.wait_unread() == 0


def test_access_log_on_a_full_disk_is_told_once_and_holds_up_nothing(spawn: Spawn, connect: Connect) -> None:
    server = spawn("--access-log", "/dev/full")
    client = connect(server.address())
    assert client.ask().status == 200
    server.wait_for_log("cannot write the access log")
    for _ in range(200):
        assert client.ask().status == 200
    assert server.stop() == 0
    assert len([line for line in server.log if "cannot write the access log" in line]) == 1
