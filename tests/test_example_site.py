"""examples/site through a real server: the page, the form, the upload, the stream and a static file."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.behaviour.processes import ServerProcess, clean_environ

SITE = Path(__file__).resolve().parents[1] / "examples" / "site"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """The site as its reader would start it, on a port that the kernel chooses."""
    environ = clean_environ(PYTHONDONTWRITEBYTECODE="1")
    words = ("app:app", "--bind", "127.0.0.1:0")
    with closing(ServerProcess(*words, environ=environ, cwd=SITE)) as started:
        yield started
        assert started.stop() == 0
        assert not [line for line in started.log if "error:" in line]


@pytest.fixture(scope="module")
def address(server: ServerProcess) -> tuple[str, int]:
    found = server.address()
    assert isinstance(found, tuple)
    return found


@pytest.fixture
def site(address: tuple[str, int]) -> Iterator[HTTPConnection]:
    with closing(HTTPConnection(*address, timeout=20)) as connection:
        yield connection


def ask(
    site: HTTPConnection,
    method: str,
    target: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[HTTPResponse, bytes]:
    """One request and its whole answer."""
    site.request(method, target, body, headers or {})
    answer = site.getresponse()
    return answer, answer.read()


def multipart(name: str, content: bytes) -> tuple[bytes, dict[str, str]]:
    """A form with one file, as browsers send it."""
    boundary = "a-boundary-that-is-not-in-the-file"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def test_page_has_its_length_and_its_forms(site: HTTPConnection) -> None:
    answer, body = ask(site, "GET", "/")
    assert answer.status == 200
    assert answer.getheader("Content-Type") == "text/html; charset=utf-8"
    assert answer.getheader("Content-Length") == str(len(body))
    assert b"Negroni" in body


def test_order_is_taken_and_shown_with_its_message(site: HTTPConnection) -> None:
    order = urlencode({"name": "Zoë", "drink": "Negroni"}).encode()
    answer, _ = ask(site, "POST", "/orders", order, FORM)
    assert (answer.status, answer.getheader("Location")) == (303, "/")
    cookie = (answer.getheader("Set-Cookie") or "").partition(";")[0]
    page = ask(site, "GET", "/", headers={"Cookie": cookie})[1].decode()
    assert "One Negroni for Zoë, coming up." in page
    assert "coming up" not in ask(site, "GET", "/")[1].decode()


def test_order_without_a_name_is_refused(site: HTTPConnection) -> None:
    answer, body = ask(site, "POST", "/orders", b"drink=Negroni", FORM)
    assert (answer.status, body) == (400, b"An order needs a name and a drink of the list.\n")


@pytest.mark.parametrize("size", [0, 1000, 3_000_000])
def test_uploaded_file_arrives_byte_for_byte(site: HTTPConnection, size: int) -> None:
    content = bytes(number * 7 % 256 for number in range(1000)) * (size // 1000)
    answer, body = ask(site, "POST", "/uploads", *multipart("picture.png", content))
    assert answer.status == 200
    assert hashlib.sha256(content).hexdigest().encode() in body
    assert b"picture.png" in body


def test_upload_without_a_file_is_refused(site: HTTPConnection) -> None:
    answer, body = ask(site, "POST", "/uploads", *multipart("", b""))
    assert (answer.status, body) == (400, b"Choose a file first.\n")


def test_stream_arrives_line_by_line(site: HTTPConnection) -> None:
    site.request("GET", "/pour")
    answer = site.getresponse()
    assert answer.getheader("Transfer-Encoding") == "chunked"
    # Read while the glass is still being filled: the answer has not ended.
    assert answer.readline() == b"|        |\n"
    assert answer.readline() == b"|#       |\n"
    assert not answer.isclosed()
    assert answer.read().endswith(b"|########|\nCheers.\n")


@pytest.mark.parametrize("name", ["site.css", "glass.svg", "menu.txt"])
def test_static_file_is_sent_whole_and_not_again_when_it_has_not_changed(
    site: HTTPConnection, name: str
) -> None:
    answer, body = ask(site, "GET", f"/static/{name}")
    assert answer.status == 200
    assert body == (SITE / "static" / name).read_bytes()
    tag = answer.getheader("ETag")
    assert tag is not None
    again, nothing = ask(site, "GET", f"/static/{name}", headers={"If-None-Match": tag})
    assert (again.status, nothing) == (http.client.NOT_MODIFIED, b"")


def test_part_of_a_static_file_can_be_asked_for(site: HTTPConnection) -> None:
    answer, body = ask(site, "GET", "/static/menu.txt", headers={"Range": "bytes=5-14"})
    assert answer.status == 206
    assert body == (SITE / "static" / "menu.txt").read_bytes()[5:15]


def test_head_of_the_page_has_no_body(site: HTTPConnection) -> None:
    answer, body = ask(site, "HEAD", "/")
    assert (answer.status, body) == (200, b"")
    assert int(answer.getheader("Content-Length") or 0) > 0


def test_unknown_page_is_404_and_the_connection_stays_open(site: HTTPConnection) -> None:
    assert ask(site, "GET", "/nowhere")[0].status == 404
    assert ask(site, "GET", "/")[0].status == 200
