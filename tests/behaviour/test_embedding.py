"""Steps 1 to 6, in somebody's program - barkeep.Server and barkeep.serve beside other things."""

from __future__ import annotations

import subprocess
import sys
import threading
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest

import barkeep
from barkeep.errors import BarkeepError, ListenError, SettingError
from tests.behaviour import usage
from tests.behaviour.clients import Client, CutShortError
from tests.behaviour.conftest import address_of
from tests.behaviour.kinds import Connect
from tests.behaviour.processes import clean_environ, wait_until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

TEXT = ("Content-Type", "text/plain")
MIB = 1024 * 1024


def hello(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A few bytes."""
    start_response("200 OK", [TEXT])
    return [b"hello"]


class Blocking:
    """An application that waits until it may go on."""

    def __init__(self) -> None:
        self.arrived, self.may_go_on = threading.Semaphore(0), threading.Event()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.arrived.release()
        self.may_go_on.wait()
        return hello(environ, start_response)


def ask(server: barkeep.Server) -> bytes:
    """One request on a connection of its own."""
    client = Client(address_of(server))
    try:
        return client.ask().body
    finally:
        client.close()


def assert_no_more_than(before: tuple[int, int]) -> None:
    """No more descriptors and threads than before. One that was joined may still be leaving the kernel."""
    wait_until(lambda: usage.threads() <= before[1])
    assert usage.descriptors() <= before[0]


def test_server_serves_within_a_with_statement_and_not_after_it() -> None:
    with barkeep.Server(hello, bind="127.0.0.1:0") as server:
        address = address_of(server)
        with urllib.request.urlopen(server.url, timeout=20) as answer:
            assert answer.read() == b"hello"
    with pytest.raises(ConnectionRefusedError):
        Client(address)


def test_url_is_known_only_while_the_server_runs() -> None:
    server = barkeep.Server(hello, bind="127.0.0.1:0")
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.url
    with server:
        assert server.url.startswith("http://127.0.0.1:")
        with pytest.raises(RuntimeError, match="runs already"):
            server.start()
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.url


def test_several_servers_of_one_process_do_not_mix() -> None:
    def named(name: bytes) -> barkeep.Server:
        def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            start_response("200 OK", [TEXT])
            return [name]

        return barkeep.Server(application, bind="127.0.0.1:0", threads=1)

    with named(b"one") as one, named(b"two") as two, named(b"three") as three:
        assert [ask(server) for server in (three, one, two)] == [b"three", b"one", b"two"]
        two.stop()
        assert [ask(server) for server in (one, three)] == [b"one", b"three"]


def test_server_may_be_started_again_after_a_stop() -> None:
    server = barkeep.Server(hello, bind="127.0.0.1:0")
    for _ in range(3):
        with server:
            assert ask(server) == b"hello"


def test_stop_answers_what_is_in_flight(connect: Connect) -> None:
    application = Blocking()
    server = barkeep.Server(application, bind="127.0.0.1:0")
    server.start()
    client = connect(server)
    client.get()
    assert application.arrived.acquire(timeout=20)
    stopped: list[bool] = []
    stopping = threading.Thread(target=lambda: stopped.append(server.stop()))
    stopping.start()
    application.may_go_on.set()
    answer = client.answer()
    stopping.join(20)
    assert answer.body == b"hello"
    assert stopped == [True]


def test_stop_aborts_what_is_not_done_in_time_and_says_so(connect: Connect, cleanup: ExitStack) -> None:
    application = Blocking()
    cleanup.callback(application.may_go_on.set)
    server = barkeep.Server(application, bind="127.0.0.1:0")
    server.start()
    client = connect(server)
    client.get()
    assert application.arrived.acquire(timeout=20)
    assert server.stop(graceful_timeout=0) is False
    with pytest.raises(CutShortError):
        client.answer()


def test_stop_of_a_server_that_does_not_run_is_nothing() -> None:
    server = barkeep.Server(hello, bind="127.0.0.1:0")
    assert server.stop() is True


def test_wrong_setting_is_refused_when_the_server_is_made() -> None:
    with pytest.raises(SettingError, match=r'no setting "treads".*threads'):
        barkeep.Server(hello, treads=4)


def test_failed_start_leaves_nothing_open() -> None:
    with barkeep.Server(hello, bind="127.0.0.1:0") as server:
        port = server.url.rpartition(":")[2]
        before = usage.descriptors()
        for _ in range(3):
            with pytest.raises(ListenError, match=str(port)):
                barkeep.Server(hello, bind=["127.0.0.1:0", f"127.0.0.1:{port}"]).start()
        assert usage.descriptors() == before


def test_start_that_fails_after_the_listeners_leaves_nothing_open(tmp_path: Path) -> None:
    before = usage.descriptors(), usage.threads()
    missing = str(tmp_path / "missing" / "access.log")
    with pytest.raises((OSError, BarkeepError)):
        barkeep.Server(hello, bind="127.0.0.1:0", access_log=missing).start()
    assert_no_more_than(before)


def test_start_without_room_for_the_threads_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def start_two(thread: threading.Thread) -> None:
        if thread.name == "barkeep-3":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_two)
    before = usage.descriptors(), usage.threads()
    with pytest.raises(SettingError, match="found 4; 2 were started"):
        barkeep.Server(hello, bind="127.0.0.1:0", threads=4).start()
    assert_no_more_than(before)


def test_thousand_starts_and_stops_leak_no_descriptor_thread_or_memory() -> None:
    def start_and_stop(times: int) -> None:
        for _ in range(times):
            with barkeep.Server(hello, bind="127.0.0.1:0", threads=2) as server:
                assert ask(server) == b"hello"

    start_and_stop(100)
    before = usage.descriptors(), usage.threads()
    memory_before = usage.memory_bytes()
    start_and_stop(1000)
    assert_no_more_than(before)
    # 2 KiB a time would be a leak that matters; allocators keep some pages.
    assert usage.memory_bytes() - memory_before < 2 * MIB


def test_stops_with_open_connections_leak_nothing(connect: Connect) -> None:
    def start_and_stop(times: int) -> None:
        for _ in range(times):
            server = barkeep.Server(hello, bind="127.0.0.1:0", threads=2)
            server.start()
            clients = [Client(address_of(server)) for _ in range(4)]
            assert clients[0].ask().body == b"hello"
            clients[1].send(b"GET / HTTP/1.1\r\n")
            clients[2].post("/", b"half", length=8)
            server.stop(graceful_timeout=0)
            for client in clients:
                client.close()

    start_and_stop(10)
    before = usage.descriptors(), usage.threads()
    start_and_stop(50)
    assert_no_more_than(before)


IN_A_THREAD = """
import signal, sys, threading
import barkeep

def application(environ, start_response):
    start_response("200 OK", [])
    return [b"hello"]

before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]
threading.Thread(
    target=barkeep.serve, args=(application,), kwargs={"bind": "127.0.0.1:0"}, daemon=True
).start()
sys.stdin.readline()
after = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]
print("unchanged" if before == after else "changed")
"""


def test_serve_in_a_thread_serves_and_leaves_signals_alone(connect: Connect) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", IN_A_THREAD],
        env=clean_environ(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stderr is not None
        url = program.stderr.readline().rpartition("listening on http://")[2].strip()
        host, _, port = url.rpartition(":")
        assert connect((host, int(port))).ask().body == b"hello"
        output, _errors = program.communicate("\n", timeout=20)
    assert output == "unchanged\n"
    assert program.returncode == 0


IN_THE_MAIN_THREAD = """
import signal, sys
import barkeep

def application(environ, start_response):
    start_response("200 OK", [])
    return [b"hello"]

before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]
code = barkeep.serve(application, bind="127.0.0.1:0")
after = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]
print(code, "restored" if before == after else "changed")
"""


def test_serve_in_the_main_thread_ends_on_sigterm_and_gives_signals_back(connect: Connect) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", IN_THE_MAIN_THREAD],
        env=clean_environ(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stderr is not None
        url = program.stderr.readline().rpartition("listening on http://")[2].strip()
        host, _, port = url.rpartition(":")
        assert connect((host, int(port))).ask().body == b"hello"
        program.terminate()
        output, _errors = program.communicate(timeout=20)
    assert output == "0 restored\n"


def test_stop_waits_for_the_close_of_an_answer_that_is_out(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is aborted gets no time at all, so only waiting for what was begun can save it.
    monkeypatch.setattr("barkeep.server.ABORTED_THREADS_TIMEOUT_S", 0.0)
    is_closing, has_stopped = threading.Event(), threading.Event()
    came_too_late: list[bool] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"whole"

        def close(self) -> None:
            is_closing.set()
            came_too_late.append(has_stopped.wait(0.3))

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
        return Body()

    server = barkeep.Server(application, bind="127.0.0.1:0", threads=1)
    with server:
        assert connect(address_of(server)).ask().body == b"whole"
        assert is_closing.wait(20)
        is_finished = server.stop()
        has_stopped.set()
    assert is_finished
    assert came_too_late == [False]


def test_stop_tells_of_a_thread_that_is_still_inside_the_application(
    connect: Connect, capfd: pytest.CaptureFixture[str], cleanup: ExitStack
) -> None:
    is_closing, may_close = threading.Event(), threading.Event()
    cleanup.callback(may_close.set)

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"whole"

        def close(self) -> None:
            is_closing.set()
            may_close.wait()

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
        return Body()

    server = barkeep.Server(application, bind="127.0.0.1:0", threads=1)
    server.start()
    assert connect(address_of(server)).ask().body == b"whole"
    assert is_closing.wait(20)
    assert not server.stop(graceful_timeout=0.1)
    assert "1 application thread is still inside the application" in capfd.readouterr().err
