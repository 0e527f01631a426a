"""Steps 1 to 6 from outside - constant load: threads that ask without a pause, and account for every request.

Half of them keep their connection, half make a new one for each request.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass

from tests.behaviour.clients import WAIT_S, Address, Client, CutShortError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

# Longer than any answer is waited for here: the end of a test that has gone wrong.
LONGEST_S = 60.0


@dataclass(frozen=True)
class Loss:
    """A request without a whole answer of status 200.

    thread: who sent it. served_by: what the last answer on the same connection said; "" for a new connection.
    """

    thread: str
    served_by: str
    why: str


class Load:
    """`with Load(address) as load: ...`; at the end every thread has stopped after a whole exchange.

    bodies: how often each body was received.
    """

    def __init__(self, address: Address, threads: int = 4, target: str = "/") -> None:
        self.bodies: Counter[str] = Counter()
        self.losses: list[Loss] = []
        self._address = address
        self._target = target
        self._changed = threading.Condition()
        self._is_over = False
        self._threads = [
            threading.Thread(target=self._keep if number % 2 else self._renew, name=f"load-{number}")
            for number in range(threads)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        self.wait_for_more(len(self._threads))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._is_over = True
        for thread in self._threads:
            thread.join(WAIT_S)

    def wait_for_more(self, answers: int) -> None:
        """Until so many answers more have come."""
        with self._changed:
            wanted = self.bodies.total() + answers
            assert self._changed.wait_for(lambda: self.bodies.total() >= wanted, WAIT_S), self.losses

    def wait_for(self, body: str) -> None:
        """Until this has been answered."""
        with self._changed:
            assert self._changed.wait_for(lambda: body in self.bodies, WAIT_S), (self.bodies, self.losses)

    def _keep(self) -> None:
        client: Client | None = None
        served_by = ""
        until_s = time.monotonic() + LONGEST_S
        while not self._is_over and time.monotonic() < until_s:
            try:
                client = client or Client(self._address)
                served_by, is_last = self._exchange(client)
            except (OSError, CutShortError) as error:
                self._lose(served_by, error)
                is_last = True
            if is_last:
                self._close(client)
                client, served_by = None, ""
        self._close(client)

    def _renew(self) -> None:
        until_s = time.monotonic() + LONGEST_S
        while not self._is_over and time.monotonic() < until_s:
            client: Client | None = None
            try:
                client = Client(self._address)
                self._exchange(client, "Connection: close")
            except (OSError, CutShortError) as error:
                self._lose("", error)
            self._close(client)

    def _exchange(self, client: Client, *fields: str) -> tuple[str, bool]:
        answer = client.ask(self._target, *fields)
        body = answer.body.decode("latin-1")
        if answer.status != 200:
            self._lose("", AssertionError(f"{answer.status} {body}"))
        with self._changed:
            self.bodies[body] += 1
            self._changed.notify_all()
        return body, answer.field("connection") == "close"

    def _lose(self, served_by: str, error: Exception) -> None:
        with self._changed:
            self.losses.append(Loss(threading.current_thread().name, served_by, repr(error)))

    def _close(self, client: Client | None) -> None:
        if client is not None:
            client.close()
