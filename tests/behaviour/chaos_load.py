"""Steps 2 to 6 from outside - the load of the chaos test: each request has an id and, at the end, a fate."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.behaviour.chaos_site import PIECE_BYTES, PIECES
from tests.behaviour.clients import Address, Answer, Client, CutShortError

# A connection that waited longer may be closed by a worker that drains (docs/adr/0012-supervision.md), so a
# request on it that meets the end is sent again, as RFC 9110 section 9.2.2 lets any client do.
TRUSTED_IDLE_S = 0.5
# Everything that hangs or keeps dying is over within this.
PATIENCE_S = 30.0

ANSWERED = "answered"
REFUSED = "refused"
SHED = "shed"
TIMED_OUT = "timed out"
LOST = "lost"
WRONG = "wrong"

# Kind of request -> how often each client makes one.
KEEP_ALIVE_KINDS = {"hello": 40, "slow": 20, "pieces": 10, "body": 10}
NEW_KINDS = {"hello": 40, "slow": 20, "pieces": 5, "bad": 5}
HUNG_KINDS = {"sleep": 3, "lock": 3, "gil": 1}


@dataclass(frozen=True)
class Fate:
    """What became of one request. Times are seconds since the epoch, as in the server's log.

    pid: of the worker that the connection was known to be on; 0 when no answer had come on it before.
    """

    request: str
    client: str
    began_s: float
    ended_s: float
    pid: int
    outcome: str
    detail: str = ""


class Load:
    """Clients, each a thread, that ask until `stop`. All fates are in `fates` then."""

    def __init__(self, address: Address, seed: int) -> None:
        self.fates: list[Fate] = []
        self._address = address
        self._ids = itertools.count(1)
        self._is_over = False
        # Guards `fates`, and tells who waits for more of them.
        self._more = threading.Condition()
        keep_alive: Callable[[random.Random], None] = self._keep_alive
        new: Callable[[random.Random], None] = self._new
        runs = [keep_alive] * 4 + [new] * 3
        self._threads = [
            threading.Thread(target=run, args=(random.Random(f"{seed} {number}"),), daemon=True)
            for number, run in enumerate(runs)
        ]

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> bool:
        """Ask no more; waits until every request that was sent has met its fate. False when one does not."""
        self._is_over = True
        until_s = time.monotonic() + PATIENCE_S
        for thread in self._threads:
            thread.join(max(0.0, until_s - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def wait_for_more(self, count: int, longest_s: float) -> None:
        """Until so many more requests have met their fate, or time is up."""
        with self._more:
            wanted = len(self.fates) + count
            self._more.wait_for(lambda: len(self.fates) >= wanted, longest_s)

    def hang(self, chance: random.Random) -> None:
        """One more request, in a thread of its own, that will be timed out."""
        kind = _choose(HUNG_KINDS, chance)
        thread = threading.Thread(target=self._ask_once, args=(kind,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _keep_alive(self, chance: random.Random) -> None:
        connection = Connection(self._address)
        while not self._is_over:
            self._note(connection.ask(_choose(KEEP_ALIVE_KINDS, chance), next(self._ids)))
            if chance.random() < 0.02:
                connection.close()
        connection.close()

    def _new(self, chance: random.Random) -> None:
        while not self._is_over:
            self._ask_once(_choose(NEW_KINDS, chance))

    def _ask_once(self, kind: str) -> None:
        connection = Connection(self._address)
        self._note(connection.ask(kind, next(self._ids), is_last=True))
        connection.close()

    def _note(self, fate: Fate) -> None:
        with self._more:
            self.fates.append(fate)
            self._more.notify_all()


class Connection:
    """One client that opens its connection when it needs it. It knows which worker has answered on it."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._client: Client | None = None
        self._pid = 0
        self._name = ""
        self._idle_since_s = 0.0
        self._sent_s = 0.0

    def ask(self, kind: str, number: int, *, is_last: bool = False) -> Fate:
        """Send one request and wait for what becomes of it."""
        began_s = time.time()
        try:
            answer = self._exchange(kind, number, is_last=is_last)
        except (CutShortError, OSError) as error:
            # Nobody was there, or nobody said anything for so long: no worker can be blamed for these.
            is_wrong = isinstance(error, ConnectionRefusedError | TimeoutError)
            outcome, detail = WRONG if is_wrong else LOST, repr(error)
        else:
            outcome, detail = self._judge(answer, kind, number)
        fate = Fate(f"/{kind}/{number}", self._name, began_s, time.time(), self._pid, outcome, detail)
        self._idle_since_s = fate.ended_s
        if outcome == ANSWERED and not is_last and detail != "close":
            return fate
        self.close()
        return fate

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._client is not None:
            self._client.close()
            self._client = None
            self._pid = 0

    def _exchange(self, kind: str, number: int, *, is_last: bool) -> Answer:
        is_new = self._client is None
        client = self._client or self._open()
        try:
            self._send(client, kind, number, is_last=is_last)
            self._sent_s = time.time()
            return client.answer()
        except (CutShortError, OSError) as error:
            received = error.received if isinstance(error, CutShortError) else b""
            idle_s = self._sent_s - self._idle_since_s
            if is_new or received or idle_s <= TRUSTED_IDLE_S or isinstance(error, TimeoutError):
                raise
            self.close()
            return self._exchange(kind, number, is_last=is_last)

    def _open(self) -> Client:
        self._client = Client(self._address)
        self._client.socket.settimeout(PATIENCE_S)
        self._name = self._client.name
        return self._client

    def _send(self, client: Client, kind: str, number: int, *, is_last: bool) -> None:
        fields = ("Connection: close",) if is_last else ()
        if kind == "bad":
            client.send(b"GET /bad/%d HTTP/1.1\r\n\r\n" % number)
        elif kind == "body":
            client.post(f"/body/{number}", bytes(number % 5000), *fields)
        else:
            client.get(f"/{kind}/{number}", *fields)

    def _judge(self, answer: Answer, kind: str, number: int) -> tuple[str, str]:
        """What an answer is, and for one that is as it should be whether it is the connection's last."""
        if (answer.status, kind) in ((400, "bad"), (503, kind), (504, kind)):
            return {400: REFUSED, 503: SHED, 504: TIMED_OUT}[answer.status], ""
        head, _, rest = answer.body.partition(b"\n")
        request_id, _, pid = head.decode("latin-1").partition(" ")
        if answer.status != 200 or kind == "bad" or request_id != str(number):
            return WRONG, f"{answer.status} {answer.body[:100]!r}"
        if rest != _rest_of(kind, number):
            return WRONG, f"{len(rest)} bytes after {head!r}"
        self._pid = int(pid)
        return ANSWERED, answer.field("connection") or ""


def _rest_of(kind: str, number: int) -> bytes:
    """What comes after the first line of a whole answer."""
    if kind == "pieces":
        return bytes(PIECES * PIECE_BYTES)
    return str(number % 5000).encode() if kind == "body" else b""


def _choose(weights: dict[str, int], chance: random.Random) -> str:
    (chosen,) = chance.choices(list(weights), list(weights.values()))
    return chosen
