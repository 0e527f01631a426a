"""What the processes of a server use together, with and without --preload: proportional set size, from Linux.

    python benchmarks/memory.py --workers 4

Each worker answers some requests first, so that what they make on demand is counted too.
"""

from __future__ import annotations

import argparse
import http.client
import subprocess
import sys
from pathlib import Path

APPLICATION = f"{Path(__file__).with_name('app_django_admin.py')}:app"
PATH = "/admin/login/"
REQUESTS = 400
MIB = 1024 * 1024


def main() -> None:
    """Print one line for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--application", default=APPLICATION)
    parser.add_argument("--path", default=PATH)
    words = parser.parse_args()
    for preload in ([], ["--preload"]):
        told = measure(words.application, words.path, words.workers, preload)
        print(f"{' '.join(preload) or 'without':10} {told}", flush=True)


def measure(application: str, path: str, workers: int, preload: list[str]) -> str:
    """Start a server, ask it, and read what its processes use."""
    options = ["--bind", "127.0.0.1:0", "--workers", str(workers), "--control-socket", "off", *preload]
    command = [sys.executable, "-m", "barkeep", application, *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as server:
        assert server.stderr is not None
        try:
            line = next(line for line in server.stderr if b"listening on http://" in line)
            ask(line.decode().rpartition("//")[2].strip(), path)
            usages = {pid: pss_bytes(pid) for pid in [server.pid, *descendants(server.pid)]}
        finally:
            server.terminate()
            server.stderr.read()
    supervisor = usages.pop(server.pid)
    rest = sorted(usages.values())
    listed = ", ".join(f"{used / MIB:.1f}" for used in rest)
    total = supervisor + sum(rest)
    return f"{total / MIB:6.1f} MiB in all; supervisor {supervisor / MIB:.1f}, the others {listed}"


def ask(address: str, path: str) -> None:
    """Some requests, each on a connection of its own, so that every worker has its part."""
    for _ in range(REQUESTS):
        client = http.client.HTTPConnection(address, timeout=30)
        client.request("GET", path, headers={"Connection": "close"})
        answer = client.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path} was answered {answer.status}")
        client.close()


def descendants(pid: int) -> list[int]:
    """Process ids of its children, and of theirs."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(further for child in children for further in descendants(child))]


def pss_bytes(pid: int) -> int:
    """Memory of a process, with its share of what it has in common with others. Source: proc_pid_smaps(5)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    main()
