"""An application under real WSGI servers: Barkeep, wsgiref, waitress and gunicorn, each on a free port."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import barkeep
from tests.behaviour.processes import clean_environ

# Without types of its own.
waitress_server_module: Any = import_module("waitress.server")

ROOT = Path(__file__).parents[2]
WAIT_S = 20


def load(target: str) -> Any:
    """The application of module:name."""
    module, _colon, name = target.partition(":")
    return getattr(import_module(module), name)


@contextmanager
def barkeep_server(target: str) -> Iterator[int]:
    with barkeep.Server(load(target), bind="127.0.0.1:0") as running:
        yield int(running.url.rpartition(":")[2])


class QuietHandler(WSGIRequestHandler):
    """Without a line per request on standard error."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def wsgiref_server(target: str) -> Iterator[int]:
    server: WSGIServer = make_server("127.0.0.1", 0, load(target), handler_class=QuietHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def waitress_server(target: str) -> Iterator[int]:
    sockets: dict[int, object] = {}
    server = waitress_server_module.create_server(
        load(target),
        host="127.0.0.1",
        port=0,
        map=sockets,
        threads=2,
        # Forwarded decides about them.
        clear_untrusted_proxy_headers=False,
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server.effective_port
    finally:
        # Its loop ends when there is nothing left to watch.
        server.trigger.pull_trigger(lambda: server.asyncore.close_all(sockets))
        thread.join()
        server.task_dispatcher.shutdown()


@contextmanager
def gunicorn_server(target: str) -> Iterator[int]:
    words = ["-m", "gunicorn", "--bind", "127.0.0.1:0", "--chdir", str(ROOT), "--worker-tmp-dir", "/tmp"]
    process = subprocess.Popen(
        [sys.executable, *words, target],
        env=clean_environ(PYTHONPATH=":".join(path for path in sys.path if path)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            found = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", line)
            if found:
                break
        else:
            raise AssertionError(f"gunicorn has ended: {lines}")
        yield int(found[1])
    finally:
        process.terminate()
        process.communicate(timeout=WAIT_S)


SERVERS = {
    "barkeep": barkeep_server,
    "wsgiref": wsgiref_server,
    "waitress": waitress_server,
    "gunicorn": gunicorn_server,
}


class Got:
    """A whole answer."""

    def __init__(self, port: int, path: str, method: str = "GET", body: bytes = b"", **fields: str) -> None:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        try:
            headers = {name.replace("_", "-"): value for name, value in fields.items()}
            client.request(method, path, body=body or None, headers=headers)
            response = client.getresponse()
            self.status = response.status
            self.body = response.read()
            self.headers = response.headers
        finally:
            client.close()
