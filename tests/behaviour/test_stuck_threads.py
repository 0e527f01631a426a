"""Step 5 from outside - what becomes of a thread whose request was timed out: told, stopped, replaced."""

from __future__ import annotations

import random
import signal
import threading
import time
from contextlib import ExitStack

import pytest

from barkeep.errors import RequestTimeout
from barkeep.listeners import open_listeners
from barkeep.server import Service
from barkeep.settings import Settings
from tests.behaviour.clients import WAIT_S, Client
from tests.behaviour.gates import Gate
from tests.behaviour.gil import needs_gil
from tests.behaviour.kinds import Connect, Serve, Spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

TEXT = ("Content-Type", "text/plain")
SHORT_S = 0.3


class Stuck:
    """Waits at a lock at /stuck, where no exception reaches it. Other answers are the thread's name."""

    def __init__(self) -> None:
        self.locks: list[threading.Lock] = []
        self.threads: list[threading.Thread] = []

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/stuck":
            self.threads.append(threading.current_thread())
            lock = threading.Lock()
            lock.acquire()
            self.locks.append(lock)
            lock.acquire()
        start_response("200 OK", [TEXT])
        return [threading.current_thread().name.encode()]

    def let_go(self) -> None:
        for lock in self.locks:
            lock.release()


def start_service(
    application: WSGIApplication, cleanup: ExitStack, on_too_many_stuck: Callable[[], None], **more: object
) -> Service:
    settings = Settings.from_kwargs(bind="127.0.0.1:0", timeout=SHORT_S, timeout_grace=0, **more)
    service = Service(settings, open_listeners(settings), on_too_many_stuck=on_too_many_stuck)
    service.start(application)
    cleanup.callback(service.close)
    return service


def ask(service: Service, target: str) -> tuple[int, bytes]:
    host, _, port = service.listeners[0].url.removeprefix("http://").rpartition(":")
    client = Client((host, int(port)))
    try:
        answer = client.ask(target)
    finally:
        client.close()
    return answer.status, answer.body


def test_log_has_the_request_and_the_stack_of_that_very_thread(spawn: Spawn, connect: Connect) -> None:
    process = spawn("--timeout", "300ms")
    client = connect(process.address())
    client.get("/hang/lock?a=%0a")
    assert client.answer().status == 504
    warning = process.wait_for_log("timed out in the application after ")
    assert warning.endswith(f"answered 504: GET /hang/lock?a=%0a from {client.name}")
    assert "; thread barkeep-" in process.wait_for_log("error: GET /hang/lock?a=%0a timed out after ")
    # From the application's first frame on, to where it hangs.
    assert "applications.py" in process.wait_for_log(", in application")
    process.wait_for_log(", in hang")
    process.wait_for_log("lock.acquire()")
    assert not [line for line in process.log if "wsgi.py" in line]


def test_request_timeout_is_raised_where_the_application_is(serve: Serve, connect: Connect) -> None:
    done = threading.Event()
    raised: list[type[BaseException]] = []

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            while True:
                try:
                    time.monotonic()
                except Exception:
                    # What a retry does: it must not take a deadline for an error of its own.
                    raised.append(Exception)
        except BaseException as error:
            raised.append(type(error))
            raise
        finally:
            done.set()

    server = serve(application, threads=1, timeout=SHORT_S)
    assert connect(server).ask().status == 504
    assert done.wait(WAIT_S)
    assert raised == [RequestTimeout]


def test_thread_that_was_stopped_serves_the_next_request(spawn: Spawn, connect: Connect) -> None:
    process = spawn("--timeout", "300ms", "--threads", "1")
    address = process.address()
    assert connect(address).ask("/hang/loop").status == 504
    assert connect(address).ask("/").body == b"hello"
    assert process.stop() == 0
    assert not [line for line in process.log if "did not come back" in line or "failed" in line]


def test_exception_for_one_request_never_hits_the_next(
    serve: Serve, connect: Connect, cleanup: ExitStack
) -> None:
    wrong: list[str] = []
    late = random.Random(3)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        now_s = time.monotonic()
        deadline_s = environ.get("barkeep.deadline", now_s + 3600)
        # Timed ones come back while they are timed out, told and stopped; the next one is there already.
        back_at_s = now_s + 0.003 if environ["PATH_INFO"] == "/next" else deadline_s + late.uniform(0, 0.012)
        try:
            while time.monotonic() < back_at_s:
                pass
        except RequestTimeout:
            if time.monotonic() < deadline_s:
                wrong.append(environ["PATH_INFO"])
            raise
        start_response("200 OK", [TEXT])
        return [b"done"]

    server = serve(application, threads=2, timeout=0, timeout_for={"/timed": "20ms"}, log_level="error")
    is_over = threading.Event()
    cleanup.callback(is_over.set)

    def ask_next() -> None:
        client = connect(server)
        while not is_over.is_set():
            if client.ask("/next").body != b"done":
                wrong.append("no answer")

    neighbours = [threading.Thread(target=ask_next) for _ in range(4)]
    for neighbour in neighbours:
        neighbour.start()
    for _ in range(70):
        assert connect(server).ask("/timed").status in (200, 503, 504)
    is_over.set()
    for neighbour in neighbours:
        neighbour.join()
    server.stop()
    assert wrong == []


def test_thread_that_does_not_come_back_is_replaced_and_ends_when_it_does(
    serve: Serve, connect: Connect
) -> None:
    application = Stuck()
    server = serve(application, threads=1, timeout=SHORT_S, timeout_grace=0)
    assert connect(server).ask("/stuck").status == 504
    # Only another thread can answer: the first is at the lock.
    answer = connect(server).ask("/")
    assert (answer.status, answer.body) == (200, b"barkeep-2")
    (thread,) = application.threads
    assert thread.is_alive()
    application.let_go()
    thread.join(WAIT_S)
    assert not thread.is_alive()
    assert connect(server).ask("/").body == b"barkeep-2"


def test_stop_does_not_wait_for_threads_that_were_given_up(serve: Serve, connect: Connect) -> None:
    application = Stuck()
    server = serve(application, threads=1, timeout=SHORT_S, timeout_grace=0)
    assert connect(server).ask("/stuck").status == 504
    assert connect(server).ask("/").status == 200
    assert server.stop(graceful_timeout=WAIT_S)
    application.let_go()


def test_too_many_stuck_threads_are_told_once_and_no_more_are_replaced(cleanup: ExitStack) -> None:
    told: list[str] = []
    application = Stuck()
    service = start_service(
        application, cleanup, lambda: told.append("too many"), threads=2, max_stuck_threads=2
    )
    cleanup.callback(application.let_go)
    for _ in range(2):
        assert ask(service, "/stuck")[0] == 504
    # Both were replaced: the second of the new threads is stuck too, and stays so.
    for _ in range(2):
        assert ask(service, "/stuck")[0] == 504
    assert told == ["too many"]
    assert ask(service, "/") == (503, b"503 Service Unavailable\n")
    assert len(application.threads) == 4


def test_embedded_server_says_when_too_many_threads_are_stuck(
    serve: Serve, connect: Connect, capfd: pytest.CaptureFixture[str]
) -> None:
    application = Stuck()
    server = serve(application, threads=1, timeout=SHORT_S, timeout_grace=0, max_stuck_threads=1)
    assert connect(server).ask("/stuck").status == 504
    assert connect(server).ask("/").status == 200
    application.let_go()
    server.stop()
    log = capfd.readouterr().err
    assert "thread barkeep-1 did not come back 0 s after GET /stuck had timed out; another" in log
    assert log.count("max_stuck_threads is reached") == 1


@needs_gil
def test_python_that_stands_still_is_answered_for_and_goes_on_when_it_can(
    spawn: Spawn, connect: Connect, gate: Gate
) -> None:
    process = spawn("--threads", "4", "--timeout", "500ms", "--timeout-for", "/gate=0")
    address = process.address()
    # One that may take for ever waits beside it: Python cannot run for it either.
    neighbour, other, holder = connect(address), connect(address), connect(address)
    neighbour.get("/gate")
    gate.wait_for(1)
    holder.get("/hang/gil")
    gate.wait_for(2)
    other.get("/")
    assert holder.answer().status == 504
    assert other.answer().status in (503, 504)
    assert neighbour.answer().status == 504
    assert "C code keeps the GIL" in process.wait_for_log("error: Python has not run for ")
    gate.open()
    process.wait_for_log("Python runs again")
    assert connect(address).ask("/").body == b"hello"
    assert process.stop() == 0


def test_process_with_a_stuck_thread_ends_well_when_its_client_was_told(
    spawn: Spawn, connect: Connect
) -> None:
    process = spawn("--threads", "1", "--timeout", "300ms", "--timeout-grace", "0")
    address = process.address()
    assert connect(address).ask("/hang/sleep").status == 504
    process.wait_for_log("another has taken its place")
    assert connect(address).ask("/").status == 200
    process.send(signal.SIGTERM)
    assert process.wait() == 0


def test_thread_named_in_an_event_must_run_that_very_request(cleanup: ExitStack) -> None:
    application = Stuck()
    service = start_service(application, cleanup, lambda: None, threads=1, max_stuck_threads=1024)
    cleanup.callback(application.let_go)
    engine = service.engine
    assert ask(service, "/")[0] == 200
    assert not engine.raise_in_thread(threading.get_ident(), 1, RequestTimeout)
    assert not engine.quarantine(threading.get_ident(), 1)
    assert not engine.is_running(threading.get_ident(), 1)


def test_stacks_are_logged_though_the_threads_end_meanwhile(
    cleanup: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    inside = threading.Semaphore(0)
    cleanup.callback(gate.set)

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        inside.release()
        gate.wait()
        start_response("200 OK", [TEXT])
        return []

    settings = Settings.from_kwargs(bind="127.0.0.1:0", threads=4)
    service = Service(settings, open_listeners(settings))
    service.start(application)
    cleanup.callback(service.close)
    url = service.listeners[0].url.removeprefix("http://")
    for _ in range(2):
        client = Client((url.partition(":")[0], int(url.partition(":")[2])))
        cleanup.callback(client.close)
        client.get()
        assert inside.acquire(timeout=WAIT_S)
    logged = []

    class EndsThem:
        """The engine's log, in which all threads end."""

        def log(self, _level: str, text: str) -> None:
            logged.append(text)
            gate.set()
            engine.abort()
            assert service.wait_until_finished(WAIT_S)

    with monkeypatch.context() as patched:
        engine = service.engine
        patched.setattr(service, "engine", EndsThem())
        patched.setattr(EndsThem, "wait", lambda _self, timeout_s: engine.wait(timeout_s), raising=False)
        service.log_stacks("aborted")
    assert [text.partition("\n")[0].partition(" ")[2] for text in logged] == [
        "is inside the application, aborted"
    ] * 2
