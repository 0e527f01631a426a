"""Falcon through a real socket: media, uploads, streams and files, also under wsgiref.validate."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import falcon
import pytest

from tests.conformance.frameworks.browser import upload_report
from tests.conformance.frameworks.conftest import FILE_CONTENT
from tests.conformance.frameworks.validated import validated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from wsgiref.types import WSGIApplication

    from tests.conformance.frameworks.conftest import Visit


class Media:
    """JSON both ways."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = {
            "body": req.get_media(),
            "url": req.url,
            "client": req.remote_addr,
            "agent": req.user_agent,
        }


class Upload:
    """A form of several parts."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        title, filename, content = "", "", b""
        for part in req.get_media():
            if part.name == "title":
                title = part.text
            else:
                filename, content = part.filename, part.stream.read()
        resp.text = upload_report(title, filename, content)


class Raw:
    """A body read piece by piece."""

    def on_put(self, req: falcon.Request, resp: falcon.Response) -> None:
        seen = hashlib.sha256()
        while piece := req.bounded_stream.read(10_000):
            seen.update(piece)
        resp.text = seen.hexdigest()


class Stream:
    """An answer made while it is sent."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        def generate() -> Iterator[bytes]:
            for number in range(5):
                yield b"pour %d\n" % number

        resp.content_type = falcon.MEDIA_TEXT
        resp.stream = generate()


class File:
    """A file, which Falcon gives to wsgi.file_wrapper."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.set_stream(self._path.open("rb"), self._path.stat().st_size)


class Cookies:
    """Several cookies, there and back."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.media = dict(sorted(req.cookies.items()))
        for name in ("first", "second"):
            resp.set_cookie(name, f"value of {name}", secure=False)


class Broken:
    """Errors of both kinds."""

    def on_get(self, _req: falcon.Request, _resp: falcon.Response) -> None:
        raise ValueError("broken on purpose")

    def on_delete(self, _req: falcon.Request, _resp: falcon.Response) -> None:
        raise falcon.HTTPForbidden(title="not yours")


def make_site(file_path: Path) -> WSGIApplication:
    """A site with one resource per thing to try."""
    site = falcon.App()
    for target, resource in {
        "/media": Media(),
        "/upload": Upload(),
        "/raw": Raw(),
        "/stream": Stream(),
        "/file": File(file_path),
        "/cookies": Cookies(),
        "/broken": Broken(),
    }.items():
        site.add_route(target, resource)
    application: WSGIApplication = site
    return application


@pytest.fixture(params=["plain", "validated"])
def site(request: pytest.FixtureRequest, file_path: Path) -> WSGIApplication:
    """The site as it is, and with every call checked by wsgiref.validate."""
    site = make_site(file_path)
    return site if request.param == "plain" else validated(site)


def test_media_goes_both_ways(visit: Visit, site: WSGIApplication) -> None:
    browser = visit(site)
    for _ in range(2):
        headers = {"Content-Type": "application/json", "User-Agent": "test/1"}
        page = browser.ask("POST", "/media", '{"a": "ë"}'.encode(), headers)
        url = f"http://{browser.connection.host}:{browser.connection.port}/media"
        assert page.text == (
            f'{{"body": {{"a": "ë"}}, "url": "{url}", "client": "127.0.0.1", "agent": "test/1"}}'
        )


@pytest.mark.parametrize("size", [0, 1024, 900_000])
def test_upload_arrives_whole(visit: Visit, site: WSGIApplication, size: int) -> None:
    content = bytes(range(256)) * (size // 256)
    page = visit(site).upload("/upload", "a file.bin", content)
    assert page.text == upload_report("a title", "a file.bin", content)


@pytest.mark.parametrize("size", [0, 1, 1_000_000, 3_000_000])
def test_body_is_read_piece_by_piece(visit: Visit, site: WSGIApplication, size: int) -> None:
    content = b"x" * size
    browser = visit(site)
    for _ in range(2):
        assert browser.ask("PUT", "/raw", content).text == hashlib.sha256(content).hexdigest()


def test_stream_arrives_in_chunks(visit: Visit, site: WSGIApplication) -> None:
    browser = visit(site)
    for _ in range(2):
        page = browser.get("/stream")
        assert page.text == "pour 0\npour 1\npour 2\npour 3\npour 4\n"
        assert page.headers["Transfer-Encoding"] == "chunked"


def test_file_is_sent_whole(visit: Visit, site: WSGIApplication) -> None:
    browser = visit(site)
    for _ in range(2):
        page = browser.get("/file")
        assert page.body == FILE_CONTENT
        assert page.headers["Content-Length"] == str(len(FILE_CONTENT))


def test_cookies_come_back(visit: Visit, site: WSGIApplication) -> None:
    browser = visit(site)
    assert browser.get("/cookies").text == "{}"
    assert browser.get("/cookies").text == '{"first": "value of first", "second": "value of second"}'


def test_error_pages_are_those_of_the_framework(visit: Visit, site: WSGIApplication) -> None:
    browser = visit(site)
    assert browser.get("/missing").status == 404
    assert browser.get("/broken").status == 500
    assert "not yours" in browser.ask("DELETE", "/broken").text
    options = browser.ask("OPTIONS", "/broken")
    assert "DELETE" in options.headers["Allow"]
    assert browser.ask("HEAD", "/media").status == 405
