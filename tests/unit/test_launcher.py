"""launcher.py: the supervisor signals its own descendants only, whatever a process says of itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing

import pytest

from barkeep.channel import Channel
from barkeep.launcher import WorkerProcess, is_descendant


def test_children_are_descendants_and_others_are_not() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert is_descendant(child.pid)
        child.communicate(b"\n")
    assert not is_descendant(child.pid)
    assert not is_descendant(os.getppid())
    assert not is_descendant(1)


def test_process_id_that_a_worker_made_up_is_not_signalled(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    ours, theirs = Channel.pair()
    reader, writer = os.pipe()
    os.close(writer)
    worker = WorkerProcess(slot=0, place=0, generation=1, channel=ours, stacks=reader)
    with closing(theirs), closing(worker):
        worker.pid = os.getppid()
        worker.kill()
        assert sent == []
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
            worker.pid = child.pid
            worker.signal(signal.SIGTERM)
            child.communicate(b"\n")
        assert sent == [(child.pid, signal.SIGTERM)]
