"""Two workloads that are not load: many idle connections, and a cold start."""

from __future__ import annotations

import contextlib
import socket

from measure import CheckError, Conditions, Measurement, is_readable, load, wait_until_ready
from processes import Server, memory, on_core, process_tree, running
from rendering import render_request
from workloads import Workload

IDLE_CONNECTIONS = 5000
CONNECT_TIMEOUT_S = 5.0


def measure_idle(server_name: str, workload: Workload, conditions: Conditions) -> Measurement:
    """Memory per idle connection, and what hello costs beside them, as a ratio to hello without them.

    Each connection is used once and then left open, because that is when a server may keep its buffers.
    The resident size is compared after a first load, so that what any load makes grow is not counted here.
    """
    with running(server_name, workload, conditions.places, conditions.server_core) as server:
        wait_until_ready(server, workload)
        alone = load(server, workload, conditions).figures
        tree = process_tree(server.process.pid)
        before_mib = memory(tree).worker_rss_mib
        with contextlib.ExitStack() as stack, on_core(conditions.load_core):
            connections = _open_idle(server, workload, stack)
            grown_mib = memory(tree).worker_rss_mib - before_mib
            beside = load(server, workload, conditions).figures
            still_open = sum(not is_readable(connection.fileno(), 0) for connection in connections)
    figures = dict(beside)
    figures["idle_kib"] = grown_mib * 1024 / IDLE_CONNECTIONS
    figures["idle_cost"] = beside["cpu_us"] / alone["cpu_us"]
    figures["idle_still_open"] = still_open / len(connections)
    return Measurement(figures)


def _open_idle(server: Server, workload: Workload, stack: contextlib.ExitStack) -> list[socket.socket]:
    """Open the connections, from several loopback addresses, with one answer each. `stack` closes them."""
    request = render_request(workload.lanes[0].requests[0], closes=False)
    connections = []
    for number in range(IDLE_CONNECTIONS):
        try:
            source = (f"127.0.0.{2 + number % 8}", 0)
            connection = stack.enter_context(
                socket.create_connection(("127.0.0.1", server.port), CONNECT_TIMEOUT_S, source)
            )
            connection.sendall(request)
            answer = connection.recv(65536)
        except OSError as error:
            raise CheckError(
                f"idle connection {number + 1} of {IDLE_CONNECTIONS}: {error or type(error).__name__}"
            ) from error
        if b" 200 " not in answer[:20]:
            raise CheckError(
                f"idle connection {number + 1} of {IDLE_CONNECTIONS} was answered {answer[:40]!r}"
            )
        connections.append(connection)
    return connections


def measure_start(server_name: str, workload: Workload, conditions: Conditions) -> Measurement:
    """Milliseconds from making the process to its first answer, and the memory of one worker after it."""
    with running(server_name, workload, conditions.places, conditions.server_core) as server:
        start_s = wait_until_ready(server, workload)
        usage = memory(process_tree(server.process.pid))
    return Measurement(
        {"start_ms": start_s * 1000, "worker_mib": usage.worker_rss_mib, "pss_mib": usage.tree_pss_mib}
    )
