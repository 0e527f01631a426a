"""Steps 2 to 6 from outside - the soak's requests of every kind: each is checked, whole, refused or cut."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import closing

from tests.behaviour.clients import Address, Client, CutShortError

PIPELINED = 25
LARGE_BYTES = 1_000_000
# Beyond the default request_buffer, so it is streamed.
STREAMED_UPLOAD_BYTES = 1_500_000

# What one turn of a kind does, and how many requests that were.
Turn = Callable[[Address, random.Random], int]


def keep_alive(address: Address, chance: random.Random) -> int:
    """Several requests on one connection, one after another."""
    count = chance.randint(1, 40)
    with closing(Client(address)) as client:
        for _ in range(count):
            assert client.ask("/").body == b"hello"
    return count


def pipelined(address: Address, _chance: random.Random) -> int:
    """Many requests at once, answered in order."""
    with closing(Client(address)) as client:
        client.send(b"GET /zeros/3 HTTP/1.1\r\nHost: localhost\r\n\r\n" * PIPELINED)
        for _ in range(PIPELINED):
            assert client.answer().body == bytes(3)
    return PIPELINED


def posted(address: Address, chance: random.Random) -> int:
    """Bodies with a length, several on one connection."""
    with closing(Client(address)) as client:
        for _ in range(10):
            body = chance.randbytes(chance.choice((0, 1, 1000, 50_000)))
            client.post("/digest", body)
            assert client.answer().body == hashlib.sha256(body).hexdigest().encode()
    return 10


def chunked(address: Address, chance: random.Random) -> int:
    """A chunked body."""
    body = chance.randbytes(5000)
    with closing(Client(address)) as client:
        client.send(b"POST /digest HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(body), 500):
            client.send(b"1f4\r\n", body[start : start + 500], b"\r\n")
        client.send(b"0\r\n\r\n")
        assert client.answer().body == hashlib.sha256(body).hexdigest().encode()
    return 1


def streamed_upload(address: Address, _chance: random.Random) -> int:
    """A body that the application reads from the socket."""
    body = bytes(STREAMED_UPLOAD_BYTES)
    with closing(Client(address)) as client:
        client.post("/digest", body)
        assert client.answer().body == hashlib.sha256(body).hexdigest().encode()
    return 1


def streamed_answer(address: Address, _chance: random.Random) -> int:
    """A generator's answer, twice."""
    with closing(Client(address)) as client:
        for _ in range(2):
            assert client.ask("/pieces/20").body == bytes(20 * 1024)
    return 2


def large_answer(address: Address, _chance: random.Random) -> int:
    """An answer that goes through the outbox."""
    with closing(Client(address)) as client:
        assert len(client.ask(f"/zeros/{LARGE_BYTES}").body) == LARGE_BYTES
    return 1


def old_protocol(address: Address, _chance: random.Random) -> int:
    """HTTP/1.0, where the end of the connection is the end of the body."""
    with closing(Client(address)) as client:
        client.send(b"GET /pieces/3 HTTP/1.0\r\n\r\n")
        assert len(client.answer().body) == 3 * 1024
    return 1


def refused(address: Address, chance: random.Random) -> int:
    """A request that the server refuses, and another that it must not read."""
    bad = chance.choice((b"GET / HTTP/1.1\r\n\r\n", b"GET /\x00 HTTP/1.1\r\n\r\n", b"A: b\r\n\r\n"))
    with closing(Client(address)) as client:
        client.send(bad, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.answer().status == 400
        assert client.end() == b""
    return 1


def failed(address: Address, _chance: random.Random) -> int:
    """An application that fails mid-stream."""
    with closing(Client(address)) as client:
        client.get("/fail")
        try:
            client.answer()
        except CutShortError:
            return 1
    raise AssertionError("an answer that failed looked complete")


def aborted_upload(address: Address, chance: random.Random) -> int:
    """A client that goes away in the middle of its body; also one that is streamed."""
    with closing(Client(address)) as client:
        client.post("/digest", b"half", length=chance.choice((8, 2 * STREAMED_UPLOAD_BYTES)))
        client.reset()
    return 1


def aborted_answer(address: Address, chance: random.Random) -> int:
    """A client that goes away in the middle of an answer."""
    with closing(Client(address)) as client:
        client.get(chance.choice(("/zeros/5000000", "/pieces/5000")))
        client.receive_until(lambda received: b"\r\n\r\n" in received)
        client.reset()
    return 1


def half_head(address: Address, _chance: random.Random) -> int:
    """A client that goes away in the middle of a head."""
    with closing(Client(address)) as client:
        client.send(b"GET / HTTP/1.1\r\nHo")
    return 1


# Each with its weight: how often it has its turn.
TURNS: list[tuple[Turn, int]] = [
    (keep_alive, 30),
    (pipelined, 20),
    (posted, 20),
    (chunked, 10),
    (streamed_upload, 1),
    (streamed_answer, 10),
    (large_answer, 2),
    (old_protocol, 5),
    (refused, 10),
    (failed, 5),
    (aborted_upload, 5),
    (aborted_answer, 2),
    (half_head, 5),
]


def mixed(address: Address, seed: int) -> Iterator[int]:
    """Requests without end, in an order that the seed decides; each item is how many were made."""
    chance = random.Random(seed)
    turns, weights = [turn for turn, _ in TURNS], [weight for _, weight in TURNS]
    while True:
        (turn,) = chance.choices(turns, weights)
        yield turn(address, chance)
