"""The middlewares under real servers: Barkeep, wsgiref, waitress and gunicorn."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.middleware_site import MAX_BODY_BYTES, ORIGIN, TEXT
from tests.behaviour.processes import ServerProcess
from tests.behaviour.wsgi_servers import SERVERS, Got

if TYPE_CHECKING:
    from tests.behaviour.clients import Address

    Run = Callable[..., ServerProcess]

SITE = "tests.behaviour.middleware_site:application"


@pytest.fixture(scope="module", params=sorted(SERVERS))
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Where one of the servers listens."""
    with SERVERS[request.param](SITE) as port:
        yield port


@pytest.mark.parametrize(
    ("path", "body"), [("/", TEXT), ("/stream", TEXT * 3), ("/write", TEXT * 2), ("/file", TEXT)]
)
def test_each_form_of_body_arrives_compressed(port: int, path: str, body: bytes) -> None:
    got = Got(port, path, Accept_Encoding="gzip")
    assert got.headers["Content-Encoding"] == "gzip"
    assert (
        got.headers["Vary"] == "Origin, Accept-Encoding" or got.headers["Vary"] == "Accept-Encoding, Origin"
    )
    assert gzip.decompress(got.body) == body
    plain = Got(port, path)
    assert plain.headers["Content-Encoding"] is None
    assert plain.body == body


def test_head_and_204_have_no_body(port: int) -> None:
    assert Got(port, "/", "HEAD", Accept_Encoding="gzip").body == b""
    empty = Got(port, "/empty", Accept_Encoding="gzip")
    assert (empty.status, empty.body) == (204, b"")
    assert empty.headers["Content-Encoding"] is None


def test_fields_of_all_pieces_are_there(port: int) -> None:
    got = Got(port, "/", X_Request_ID="given", Origin=ORIGIN)
    assert got.headers["X-Request-ID"] == "given"
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert got.headers["Server-Timing"].startswith("app;dur=")


def test_preflight_is_answered(port: int) -> None:
    got = Got(port, "/", "OPTIONS", Origin=ORIGIN, Access_Control_Request_Method="PUT")
    assert got.status == 204
    assert "PUT" in got.headers["Access-Control-Allow-Methods"]


def test_files_are_sent_whole_and_in_ranges(port: int) -> None:
    content = Path(__file__).read_bytes()
    path = "/files/test_middleware.py"
    whole = Got(port, path)
    assert whole.body == content
    assert whole.headers["Content-Length"] == str(len(content))
    assert Got(port, path, Range="bytes=10-19").body == content[10:20]
    assert Got(port, path, Range="bytes=100-").body == content[100:]
    assert Got(port, path, Range="bytes=-7").body == content[-7:]
    parts = Got(port, path, Range="bytes=0-4,10-14")
    assert parts.status == 206
    assert content[10:15] in parts.body
    assert Got(port, path, If_None_Match=whole.headers["ETag"]).status == 304
    assert Got(port, path, "HEAD").headers["Content-Length"] == str(len(content))
    assert Got(port, path, Range=f"bytes={len(content)}-").status == 416


@pytest.mark.parametrize(
    "path",
    ["/files/../__init__.py", "/files/%2e%2e/conftest.py", "/files/%2e%2e%2fconftest.py", "/files/x%00"],
)
def test_files_outside_are_not_reached(port: int, path: str) -> None:
    got = Got(port, path)
    # The application's own answer, or a refusal by the server: never a file.
    assert got.body == TEXT or got.status in (400, 404)


def test_bodies_above_the_limit_are_refused(port: int) -> None:
    assert Got(port, "/echo", "POST", b"x" * MAX_BODY_BYTES).body == b"x" * MAX_BODY_BYTES
    assert Got(port, "/echo", "POST", b"x" * (MAX_BODY_BYTES + 1)).status == 413


def test_other_hosts_are_refused(port: int) -> None:
    assert Got(port, "/", Host="evil.example").status == 400


def test_a_mounted_application_knows_where_it_is(port: int) -> None:
    assert Got(port, "/mount/a%20b").body == b"/mount /a b"


def test_a_body_is_closed_once(port: int) -> None:
    before = int(Got(port, "/closed").body)
    assert Got(port, "/closing", Accept_Encoding="gzip").status == 200
    assert int(Got(port, "/closed").body) == before + 1


# -- by name, in Barkeep's own processes ---------------------------------------------------------------


def test_middlewares_of_a_file_stand_around_the_application(run: Run, tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "a.txt").write_bytes(b"a file")
    (tmp_path / "barkeep.toml").write_text(
        'bind = ["127.0.0.1:0"]\n'
        '[[middleware]]\nname = "requestid"\ntrace = false\n'
        '[[middleware]]\nname = "static"\nmounts = {"/public" = "public"}\n'
        '[[middleware]]\nname = "compress"\nminimum_bytes = 0\n'
    )
    (tmp_path / "site_app.py").write_text(
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "    return [b'text']\n"
    )
    server = run("site_app:app")
    _host, port = tcp(server.address())
    got = Got(port, "/", Accept_Encoding="gzip", X_Request_ID="given")
    assert (gzip.decompress(got.body), got.headers["X-Request-ID"]) == (b"text", "given")
    assert Got(port, "/public/a.txt").body == b"a file"
    assert server.stop() == 0


def test_a_wrong_order_is_told_at_the_start(run: Run) -> None:
    words = ["--middleware", "compress", "--middleware", "static:/=.", "--bind", "127.0.0.1:0"]
    server = run("wsgiref.simple_server:demo_app", *words)
    assert server.wait_for_log("barkeep: warning: Compress stands outside Static: ")
    server.address()
    assert server.stop() == 0


def test_a_middleware_that_is_not_there_is_exit_code_2(run: Run) -> None:
    server = run("wsgiref.simple_server:demo_app", "--middleware", "compres", "--bind", "127.0.0.1:0")
    assert server.wait() == 2
    (line,) = server.log
    assert line.startswith('barkeep: there is no middleware "compres". Did you mean "compress"?')


def tcp(address: Address) -> tuple[str, int]:
    assert not isinstance(address, str)
    return address
