"""fork_report.py: what an import leaves behind that a fork breaks, with the line that made it."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from barkeep.fork_report import ForkReport

HERE = str(Path(__file__))


def test_nothing_left_behind_is_nothing_found() -> None:
    with ForkReport() as report:
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
        socket.socket().close()
        with threading.Lock(), threading.RLock():
            pass
    assert report.findings() == []


def test_running_thread_is_found_with_its_name_and_maker() -> None:
    end = threading.Event()
    with ForkReport() as report:
        thread = threading.Thread(target=end.wait, name="poller")
        thread.start()
    findings = report.findings()
    end.set()
    thread.join()
    assert len(findings) == 1
    assert findings[0].startswith(
        f"thread poller runs before the fork and not in a worker, started by {HERE}:"
    )


def test_open_socket_is_found() -> None:
    with ForkReport() as report:
        made = socket.socket()
    with made:
        (finding,) = report.findings()
    assert finding.startswith(f"a socket is open and would be shared by all workers, made by {HERE}:")


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_held_lock_is_found_and_a_free_one_is_not(kind: str) -> None:
    with ForkReport() as report:
        held, free = getattr(threading, kind)(), getattr(threading, kind)()
    held.acquire()
    (finding,) = report.findings()
    assert finding.startswith(f"a lock is held and would be so for ever in each worker, made by {HERE}:")
    held.release()
    assert report.findings() == []
    assert free.acquire(blocking=False)


def test_lock_that_another_thread_holds_is_found() -> None:
    with ForkReport() as report:
        lock = threading.RLock()
    is_held, end = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            is_held.set()
            end.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait()
    findings = report.findings()
    end.set()
    thread.join()
    assert len(findings) == 1


def test_what_has_been_thrown_away_is_not_kept_alive() -> None:
    with ForkReport() as report:
        made = socket.socket()
        made.close()
        del made
    assert report.findings() == []


def test_everything_is_as_before_afterwards_also_when_the_import_fails() -> None:
    before = (threading.Thread.start, socket.socket.__init__, threading.Lock, threading.RLock)

    def fail() -> None:
        assert threading.Lock is not before[2]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), ForkReport():
        fail()
    assert (threading.Thread.start, socket.socket.__init__, threading.Lock, threading.RLock) == before


def test_standard_library_that_makes_locks_still_works_inside() -> None:
    with ForkReport() as report:
        condition = threading.Condition()
        with condition:
            condition.notify_all()
        event = threading.Event()
        event.set()
        assert event.wait(1)
        with threading.Semaphore(1):
            pass
    assert report.findings() == []
