"""thread_stacks.py: where other threads are, the same with a GIL and without one."""

from __future__ import annotations

import faulthandler
import gc
import os
import queue
import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import cast

import pytest

from barkeep import thread_stacks
from barkeep.thread_stacks import is_waiting, stacks_of, text_of, write_on_signal
from barkeep.wsgi import serve_exchanges
from tests.apps import PLAIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from typing_extensions import Self

    from barkeep._engine import Engine


class Standing:
    """A thread that stands in `stand_here` until the test is over."""

    def __init__(self) -> None:
        self._is_there = threading.Event()
        self._may_go = threading.Event()
        self.thread = threading.Thread(target=self.stand_here)
        self.thread.start()
        self._is_there.wait()

    def stand_here(self) -> None:
        self._is_there.set()
        self._may_go.wait()

    @property
    def ident(self) -> int:
        return self.thread.ident or 0

    def end(self) -> None:
        self._may_go.set()
        self.thread.join()


@pytest.fixture
def standing() -> Iterator[Standing]:
    made = Standing()
    yield made
    made.end()


@pytest.fixture(params=["with a GIL", "without"])
def gil(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Each test twice; without a GIL nobody may look at the frames of another thread."""
    if request.param == "with a GIL":
        if not thread_stacks.gil_is_enabled():
            pytest.skip("frames of other threads may only be looked at with a GIL")
        return True
    monkeypatch.setattr(thread_stacks, "gil_is_enabled", lambda: False)
    monkeypatch.setattr(sys, "_current_frames", refuse)
    return False


def refuse() -> NoReturn:
    raise AssertionError("these frames are freed while they are looked at")


def test_gil_is_there_unless_python_says_otherwise() -> None:
    says = getattr(sys, "_is_gil_enabled", lambda: True)
    assert thread_stacks.gil_is_enabled() is says()


@pytest.mark.usefixtures("gil")
def test_stack_has_the_calls_of_that_thread_with_the_outermost_first(standing: Standing) -> None:
    (stack,) = stacks_of((standing.ident,)).values()
    names = [call.name for call in stack]
    assert names.index("run") < names.index("stand_here") < names.index("wait")
    (here,) = (call for call in stack if call.name == "stand_here")
    assert (here.filename, here.line) in (
        (__file__, "self._is_there.set()"),
        (__file__, "self._may_go.wait()"),
    )


@pytest.mark.usefixtures("gil")
def test_threads_that_nobody_asked_for_and_those_that_have_ended_are_left_out(standing: Standing) -> None:
    ended = Standing()
    ended.end()
    here = threading.get_ident()
    assert set(stacks_of((here, ended.ident))) - {here} <= {standing.ident} & {ended.ident}
    assert text_of(None) == "  (the thread has ended, or is not among those that Python shows)"


class FakeExchange:
    """What an application thread takes, and answers."""

    def __init__(self) -> None:
        self.environ: dict[str, object] = {}
        self.is_answered = threading.Event()

    def start_response(self, _status: str, _headers: object) -> Self:
        return self

    def send_all(self, _chunks: object) -> None:
        self.is_answered.set()


class FakeEngine:
    """Its `take` waits in C code, as the real one does."""

    def __init__(self) -> None:
        self.queue: queue.SimpleQueue[FakeExchange | None] = queue.SimpleQueue()
        self.take = self.queue.get

    def application_thread(self, _errors: object, _file_wrapper: object) -> FakeEngine:
        return self

    def log(self, _level: str, text: str) -> None:
        raise AssertionError(text)


def serve_one(application: WSGIApplication) -> None:
    """An application thread that has answered one exchange, and waits for the next until it is given None."""
    engine, exchange = FakeEngine(), FakeExchange()
    thread = threading.Thread(target=serve_exchanges, args=(cast("Engine", engine), application))
    thread.start()
    engine.queue.put(exchange)
    assert exchange.is_answered.wait(20)
    # On its way to the queue.
    while not is_waiting(stacks_of((thread.ident or 0,))[thread.ident or 0]):
        pass
    engine.queue.put(None)
    thread.join()


@pytest.mark.usefixtures("gil")
def test_text_begins_with_the_application_and_has_its_source() -> None:
    texts: list[str] = []

    def look_at_me(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        ident = threading.get_ident()
        finder = threading.Thread(target=lambda: texts.append(text_of(stacks_of((ident,))[ident])))
        finder.start()
        finder.join()
        start_response("200 OK", PLAIN)
        return []

    serve_one(look_at_me)
    (text,) = texts
    first, source, *_rest = text.splitlines()
    assert first.startswith(f'  File "{__file__}", line ')
    assert first.endswith(", in look_at_me")
    assert source.strip() in ("finder.start()", "finder.join()")


@pytest.mark.usefixtures("gil")
def test_application_thread_waits_between_two_exchanges_and_not_in_one() -> None:
    waits: list[bool] = []

    def look(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        ident = threading.get_ident()
        waits.append(is_waiting(stacks_of((ident,))[ident]))
        start_response("200 OK", PLAIN)
        return []

    # It ends because the thread was seen to wait.
    serve_one(look)
    assert waits == [False]


@pytest.mark.usefixtures("gil")
def test_looking_keeps_nothing_of_a_thread_alive() -> None:
    is_there, may_go = threading.Event(), threading.Event()
    marks: list[weakref.ref[Mark]] = []

    def have_something() -> None:
        something = Mark()
        marks.append(weakref.ref(something))
        is_there.set()
        may_go.wait()

    thread = threading.Thread(target=have_something)
    gc.disable()
    try:
        thread.start()
        is_there.wait()
        # Also from within: the frame that looks is among those that are looked at.
        assert stacks_of((thread.ident or 0, threading.get_ident()))
        may_go.set()
        thread.join()
        assert marks[0]() is None
    finally:
        gc.enable()


def nonblocking_pipe() -> tuple[int, int]:
    """Both of its ends; the caller closes them."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    return reader, writer


class Mark:
    """Something to see whether a frame is still there."""


@pytest.mark.usefixtures("gil")
def test_signal_has_all_stacks_written(standing: Standing) -> None:
    reader, writer = nonblocking_pipe()
    before = signal.getsignal(signal.SIGUSR2)
    try:
        write_on_signal(signal.SIGUSR2, writer)
        signal.raise_signal(signal.SIGUSR2)
        written = os.read(reader, 65536).decode()
    finally:
        faulthandler.unregister(signal.SIGUSR2)
        signal.signal(signal.SIGUSR2, before)
        os.close(reader)
        os.close(writer)
    assert f"Thread 0x{standing.ident:016x}" in written
    assert "in stand_here" in written
    assert "in test_signal_has_all_stacks_written" in written


def test_pipe_that_nobody_reads_does_not_hold_up_the_main_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_stacks, "gil_is_enabled", lambda: False)
    reader, writer = nonblocking_pipe()
    before = signal.getsignal(signal.SIGUSR2)
    try:
        while True:
            os.write(writer, bytes(65536))
    except BlockingIOError:
        write_on_signal(signal.SIGUSR2, writer)
        signal.raise_signal(signal.SIGUSR2)
    finally:
        signal.signal(signal.SIGUSR2, before)
        os.close(reader)
        os.close(writer)
