"""Step 5 of 6 - an application whose requests hang, stream and wait, as tests of deadlines need them."""

from __future__ import annotations

import threading

from barkeep.errors import RequestTimeout
from tests.behaviour.clients import WAIT_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

MIB = 1024 * 1024
TEXT = ("Content-Type", "text/plain")


class Application:
    """Waits at /wait until it may go on, whatever is raised in it, and at /other until something is raised.

    /stream gives a chunk, then another for each `may_give`. /upload reads the body. /zeros gives 8 MiB.
    /deadline answers with the deadline, all others with their path.
    """

    def __init__(self) -> None:
        self.arrived, self.may_go_on = threading.Semaphore(0), threading.Event()
        self.may_give = threading.Semaphore(0)
        self.called: list[str] = []
        self.raised: list[BaseException] = []

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        self.called.append(path)
        if path == "/wait":
            self.arrived.release()
            try:
                self.wait()
            except RequestTimeout as error:
                self.raised.append(error)
                self.may_go_on.wait(WAIT_S)
        if path == "/other":
            self.wait()
        start_response("200 OK", [TEXT])
        if path == "/stream":
            return self.chunks()
        if path == "/upload":
            return [b"%d" % len(environ["wsgi.input"].read())]
        if path == "/zeros":
            return zeros()
        if path == "/deadline":
            return [str(environ.get("barkeep.deadline")).encode()]
        return [path.encode()]

    def wait(self) -> None:
        # Back in Python now and then, so that what is raised arrives.
        while not self.may_go_on.wait(0.01):
            pass

    def let_go(self) -> None:
        self.may_give.release(1000)
        self.may_go_on.set()

    def chunks(self) -> Iterator[bytes]:
        number = 0
        while True:
            yield b"chunk %d" % number
            number += 1
            self.may_give.acquire()

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self.arrived.acquire(timeout=WAIT_S)


def zeros() -> Iterator[bytes]:
    for _ in range(8 * MIB // 65536):
        yield bytes(65536)
