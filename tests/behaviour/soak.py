"""Steps 1 to 6, for long - mixed requests by the million: memory, descriptors and threads must not grow.

    python tests/behaviour/soak.py --requests 2000000

test_soak.py runs a short one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.behaviour.clients import WAIT_S, Address, Client
from tests.behaviour.processes import APPLICATION, ServerProcess, clean_environ
from tests.behaviour.soak_mix import mixed

# Application threads, and clients, each a process of its own.
THREADS = 4
CLIENTS = 2

# Allocators and caches have reached their size after so many requests of every kind.
WARM_UP_REQUESTS = 20_000

# Large blocks go back to the system at once: what stays is ours, not the allocator's to keep for later.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}

# The access log is rendered and written, to nowhere.
OPTIONS = ("--bind", "127.0.0.1:0", "--access-log", "/dev/null")


@dataclass(frozen=True)
class Usage:
    """What the server uses while nobody asks for anything."""

    memory_bytes: int
    descriptors: int
    threads: int


def soak(
    requests: int, warm_up: int = WARM_UP_REQUESTS, *, threads: int = THREADS, clients: int = CLIENTS
) -> tuple[Usage, Usage]:
    """Usage after the warm-up and after the requests. Raises when an answer was not as it should be."""
    words = (APPLICATION, *OPTIONS, "--threads", str(threads))
    with closing(ServerProcess(*words, environ=clean_environ(**ALLOCATOR))) as server:
        address = server.address()
        server.discard_log()
        descriptors = server.descriptors()
        make_requests(address, warm_up, clients, seed=1)
        before = rest(server, address, descriptors)
        make_requests(address, requests, clients, seed=2)
        after = rest(server, address, descriptors)
        assert server.stop() == 0
    return before, after


def make_requests(address: Address, requests: int, clients: int, seed: int) -> None:
    """Let the clients make so many requests together."""
    assert isinstance(address, tuple)
    host, port = address
    count = str(requests // clients)
    commands = [
        [sys.executable, __file__, "--client", host, str(port), count, str(1000 * seed + number)]
        for number in range(clients)
    ]
    running = [subprocess.Popen(command) for command in commands]
    codes = [client.wait() for client in running]
    if any(codes):
        raise AssertionError("a client saw an answer that was wrong; see its traceback")


def be_client(address: Address, requests: int, seed: int) -> None:
    """Make so many requests."""
    made = 0
    for count in mixed(address, seed):
        made += count
        if made >= requests:
            return


def rest(server: ServerProcess, address: Address, descriptors: int) -> Usage:
    """Usage when every connection has been closed on the server's side too."""
    until_s = time.monotonic() + WAIT_S
    while True:
        with closing(Client(address)) as client:
            assert client.ask("/").status == 200
            usage = Usage(server.memory_bytes(), server.descriptors() - 1, server.threads())
        if usage.descriptors <= descriptors or time.monotonic() > until_s:
            return usage


def main() -> int:
    """Run as the command says; the exit code tells whether something grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2_000_000)
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument(
        "--client", nargs=4, metavar=("HOST", "PORT", "REQUESTS", "SEED"), help=argparse.SUPPRESS
    )
    words = parser.parse_args()
    if words.client:
        host, port, requests, seed = words.client
        be_client((host, int(port)), int(requests), int(seed))
        return 0
    begun_s = time.monotonic()
    before, after = soak(words.requests, threads=words.threads, clients=words.clients)
    print(f"{words.requests} requests in {time.monotonic() - begun_s:.0f} s")
    print(f"before  {before}\nafter   {after}")
    return 0 if has_not_grown(before, after) else 1


# Of 2 million requests, a leak of 2 bytes each would be more than this.
MEMORY_SLACK_BYTES = 4 * 1024 * 1024


def has_not_grown(before: Usage, after: Usage) -> bool:
    """Whether the requests left nothing behind."""
    is_memory_flat = after.memory_bytes - before.memory_bytes < MEMORY_SLACK_BYTES
    return is_memory_flat and (after.descriptors, after.threads) == (before.descriptors, before.threads)


if __name__ == "__main__":
    sys.exit(main())
