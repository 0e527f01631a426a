"""barkeep.cgi under a web server of Debian's: lighttpd runs the scripts, and a strict client asks it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.programs import find_program
from tests.raw_client import Client

ROOT = Path(__file__).resolve().parents[2]

CONFIGURATION = """\
server.modules = ("mod_cgi")
server.document-root = "{place}"
server.bind = "{place}/s"
server.stream-response-body = 2
server.stream-request-body = 2
cgi.assign = (".cgi" => "")
"""

SCRIPT = """\
#!/bin/sh
PYTHONPATH='{path}' exec '{python}' -m barkeep.cgi tests.cgi_applications:{name}
"""

WAIT_S = 30.0


class Lighttpd:
    """A server whose scripts are barkeep.cgi. The fixture stops it."""

    def __init__(self, place: Path) -> None:
        self._place = place
        path = os.pathsep.join([str(ROOT), *sys.path])
        for name, target in SCRIPTS.items():
            script = place / name
            script.write_text(SCRIPT.format(path=path, python=sys.executable, name=target))
            script.chmod(0o755)
        (place / "conf").write_text(CONFIGURATION.format(place=place))
        # In the foreground its log, and what the scripts write, is our pipe.
        words = [find_program("lighttpd"), "-D", "-f", str(place / "conf")]
        self._process = subprocess.Popen(words, stderr=subprocess.PIPE)
        self._log = b""
        self.wait_for_line("server started")

    def wait_for_line(self, text: str) -> None:
        """Read the log until this is in it."""
        assert self._process.stderr is not None
        while text.encode() not in self._log:
            ready, _, _ = select.select([self._process.stderr], [], [], WAIT_S)
            assert ready, f"{text!r} did not come after {self._log.decode()}"
            piece = os.read(self._process.stderr.fileno(), 65536)
            assert piece, f"{text!r} did not come, lighttpd has ended: {self._log.decode()}"
            self._log += piece

    def connect(self) -> Client:
        """A connection, to be used in a `with`."""
        return Client(str(self._place / "s"))

    def stop(self) -> None:
        """Stop it, and wait until it has gone."""
        with self._process:
            self._process.terminate()


SCRIPTS = {
    "echo.cgi": "echo",
    "steps.cgi": "in_steps",
    "nph-echo.cgi": "echo",
    "failing.cgi": "failing",
    "file.cgi": "file",
    "printing.cgi": "printing",
    "not-modified.cgi": "not_modified",
    "findings.cgi": "findings",
}


@pytest.fixture(scope="module")
def lighttpd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lighttpd]:
    """One server for all tests here: starting it takes longer than any of them."""
    server = Lighttpd(tmp_path_factory.mktemp("cgi"))
    yield server
    server.stop()


def get(target: str, *fields: str, method: str = "GET") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: shop.example", *fields, "", ""]
    return "\r\n".join(lines).encode()


def test_application_sees_the_request(lighttpd: Lighttpd) -> None:
    with lighttpd.connect() as connection:
        answer = connection.ask(get("/echo.cgi/caf%C3%A9?a=%20b", "X-One: 1"))
    environ = json.loads(answer.body)["environ"]
    assert (answer.status, answer.head.field("Content-Type")) == (200, "application/json")
    assert environ["PATH_INFO"].encode("latin-1") == "/caf\u00e9".encode()
    assert environ["SCRIPT_NAME"] == "/echo.cgi"
    assert (environ["QUERY_STRING"], environ["HTTP_X_ONE"]) == ("a=%20b", "1")
    assert answer.head.all("X-Twice") in (["1", "2"], ["1, 2"])


def test_request_body_reaches_the_application(lighttpd: Lighttpd) -> None:
    with lighttpd.connect() as connection:
        answer = connection.ask(get("/echo.cgi", "Content-Length: 9", method="POST") + b"the body\n")
    assert json.loads(answer.body)["body"] == "the body\n"


def test_answer_is_streamed_while_the_request_still_comes(lighttpd: Lighttpd) -> None:
    with lighttpd.connect() as connection:
        connection.send(get("/steps.cgi", "Content-Length: 8", method="POST") + b"one\n")
        assert connection.read_head().status == 200
        assert connection.read_chunk() == b"got one\n"
        connection.send(b"two\n")
        assert connection.read_chunk() == b"got two\n"
        assert connection.read_chunk() == b""


def test_head_request_gets_the_head_alone(lighttpd: Lighttpd) -> None:
    with lighttpd.connect() as connection:
        assert connection.ask(get("/echo.cgi", method="HEAD")).status == 200
        assert connection.ask(get("/not-modified.cgi")).status == 304


def test_nph_script_answers_by_itself(lighttpd: Lighttpd) -> None:
    with lighttpd.connect() as connection:
        answer = connection.ask(get("/nph-echo.cgi"))
    assert answer.status == 200
    assert json.loads(answer.body)["environ"]["SCRIPT_NAME"] == "/nph-echo.cgi"


def test_file_arrives_whole(lighttpd: Lighttpd) -> None:
    with lighttpd.connect() as connection:
        answer = connection.ask(get("/file.cgi"))
    assert answer.body == (ROOT / "tests" / "cgi_applications.py").read_bytes()


def test_failure_is_answered_with_500_and_told_in_the_servers_log(lighttpd: Lighttpd) -> None:
    with lighttpd.connect() as connection:
        assert connection.ask(get("/failing.cgi")).status == 500
    lighttpd.wait_for_line("KeyError: 'before the head'")


def test_what_is_printed_is_in_the_servers_log(lighttpd: Lighttpd) -> None:
    with lighttpd.connect() as connection:
        answer = connection.ask(get("/printing.cgi", "Content-Length: 4", method="POST") + b"body")
    assert answer.body == b"body"
    lighttpd.wait_for_line("this is not the answer")


def test_lint_has_nothing_to_say_about_this_server(lighttpd: Lighttpd) -> None:
    with lighttpd.connect() as connection:
        answer = connection.ask(get("/findings.cgi/a?b", "Content-Length: 4", method="POST") + b"body")
    assert (answer.status, answer.body) == (200, b"")
