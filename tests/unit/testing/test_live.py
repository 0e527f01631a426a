"""A live server in a test, by hand and by the pytest plugin, which a pytest of its own runs here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from barkeep.testing import live_server

USES_FIXTURES = """
import threading
import urllib.request

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [threading.current_thread().name.encode()]

def test_server(live_server, barkeep_server):
    assert live_server is barkeep_server
    one, two = live_server(application, threads=1), live_server(application)
    assert one.url != two.url
    assert urllib.request.urlopen(one.url).read() == b"barkeep-1"

def test_connection(live_server):
    with live_server(application, threads=1).connect() as connection:
        answer = connection.ask(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    assert (answer.status, answer.body) == (200, b"barkeep-1")

def test_client(barkeep_client):
    assert barkeep_client(application).get("/").status == 200

def test_nothing_runs_any_more():
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("barkeep")]
"""

OTHER_PLUGIN = """
import pytest

@pytest.fixture
def live_server():
    return "the other one"
"""

USES_OTHER = """
def test_fixture_is_the_other_plugins(live_server):
    assert live_server == "the other one"
"""


def application(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def run_pytest(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(place), *sys.path])}
    environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    return subprocess.run(command, cwd=place, env=environ, check=False, capture_output=True, text=True)


def test_server_runs_within_the_with_statement() -> None:
    with live_server(application, threads=2) as server:
        with server.connect() as connection:
            assert connection.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").body == b"hello"
        host, port = server.address
        assert server.url == f"http://{host}:{port}"
    with pytest.raises(ConnectionRefusedError):
        server.connect()


def test_unix_socket_has_no_host_and_port(tmp_path: Path) -> None:
    with (
        live_server(application, bind=f"unix:{tmp_path}/site.sock") as server,
        pytest.raises(ValueError, match="has no host and port"),
    ):
        assert server.address


def test_fixtures_start_servers_and_stop_them(tmp_path: Path) -> None:
    (tmp_path / "test_site.py").write_text(USES_FIXTURES)
    done = run_pytest(tmp_path, "-p", "barkeep.testing.plugin")
    assert "4 passed" in done.stdout, done.stdout


def test_live_server_of_another_plugin_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pytest_django.py").write_text(OTHER_PLUGIN)
    (tmp_path / "test_site.py").write_text(USES_OTHER)
    done = run_pytest(tmp_path, "-p", "pytest_django", "-p", "barkeep.testing.plugin")
    assert "1 passed" in done.stdout, done.stdout


def test_plugin_imports_nothing_of_barkeep_before_it_is_used() -> None:
    program = "import sys, barkeep.testing.plugin; sys.exit('barkeep._engine' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_plugin_is_an_entry_point_of_the_package() -> None:
    project = Path(__file__).parents[3] / "pyproject.toml"
    lines = project.read_text().partition("[project.entry-points.pytest11]\n")[2].splitlines()
    assert lines[0] == 'barkeep = "barkeep.testing.plugin"'
