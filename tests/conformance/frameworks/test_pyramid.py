"""Pyramid through a real socket: sessions, uploads, streams and files, also under wsgiref.validate."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.frameworks.browser import upload_report
from tests.conformance.frameworks.conftest import FILE_CONTENT
from tests.conformance.frameworks.validated import validated

with warnings.catch_warnings():
    # WebOb imports cgi, which Python 3.11 and 3.12 call deprecated; on later ones legacy-cgi stands in.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pyramid.config import Configurator  # type: ignore[import-untyped]
    from pyramid.httpexceptions import HTTPFound, HTTPNotFound  # type: ignore[import-untyped]
    from pyramid.response import FileResponse, Response  # type: ignore[import-untyped]
    from pyramid.session import SignedCookieSessionFactory  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from wsgiref.types import WSGIApplication

    from tests.conformance.frameworks.conftest import Visit


def login(request: Any) -> Any:
    """Remember a name."""
    request.session["name"] = request.POST["name"]
    return HTTPFound("/me")


def me(request: Any) -> Any:
    """Tell the name, and count."""
    session = request.session
    session["visits"] = session.get("visits", 0) + 1
    return Response(f"{session.get('name', 'nobody')}, visit {session['visits']}")


def upload(request: Any) -> Any:
    """Tell what arrived."""
    field = request.POST["file"]
    # WebOb leaves the copies it makes of body and file open, and Python would warn of them.
    with field.file as file, request.body_file_raw:
        return Response(upload_report(request.POST["title"], field.filename, file.read()))


def stream(_request: Any) -> Any:
    """An answer made while it is sent."""

    def generate() -> Iterator[bytes]:
        for number in range(5):
            yield b"pour %d\n" % number

    return Response(app_iter=generate(), content_type="text/plain")


def echo_json(request: Any) -> Any:
    """The body again, with facts about the request."""
    return {"body": request.json_body, "url": request.url, "client": request.client_addr}


def echo_path(request: Any) -> Any:
    """The path as Pyramid decodes it."""
    return Response(request.matchdict["path"])


def missing(_request: Any) -> Any:
    """A page that is not there."""
    raise HTTPNotFound("nothing here")


def broken(_request: Any) -> Any:
    """A view that fails."""
    raise ValueError("broken on purpose")


def make_site(file_path: Path) -> WSGIApplication:
    """A site with one view per thing to try."""

    def file(request: Any) -> Any:
        return FileResponse(str(file_path), request=request, content_type="application/octet-stream")

    views: dict[str, tuple[str, Callable[[Any], Any], str | None]] = {
        "login": ("/login", login, None),
        "me": ("/me", me, None),
        "upload": ("/upload", upload, None),
        "stream": ("/stream", stream, None),
        "file": ("/file", file, None),
        "json": ("/json", echo_json, "json"),
        "path": ("/path/{path:.*}", echo_path, None),
        "missing": ("/missing", missing, None),
        "broken": ("/broken", broken, None),
    }
    with Configurator(session_factory=SignedCookieSessionFactory("only for tests")) as config:
        for name, (pattern, view, renderer) in views.items():
            config.add_route(name, pattern)
            config.add_view(view, route_name=name, renderer=renderer)
        site: WSGIApplication = config.make_wsgi_app()
    return site


@pytest.fixture(params=["plain", "validated"])
def site(request: pytest.FixtureRequest, file_path: Path) -> WSGIApplication:
    """The site as it is, and with every call checked by wsgiref.validate."""
    site = make_site(file_path)
    return site if request.param == "plain" else validated(site)


def test_session_lives_from_page_to_page(visit: Visit, site: WSGIApplication) -> None:
    browser = visit(site)
    answer = browser.post("/login", {"name": "Zoë & Co"})
    assert answer.status == 302
    assert answer.headers["Location"].endswith("/me")
    assert [browser.get("/me").text for _ in range(2)] == ["Zoë & Co, visit 1", "Zoë & Co, visit 2"]


@pytest.mark.parametrize("size", [0, 1024, 3_000_000])
def test_upload_arrives_whole(visit: Visit, site: WSGIApplication, size: int) -> None:
    content = bytes(range(256)) * (size // 256)
    browser = visit(site)
    for is_chunked in (False, True):
        page = browser.upload("/upload", "a file.bin", content, is_chunked=is_chunked)
        assert page.text == upload_report("a title", "a file.bin", content)


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
    assert browser.ask("HEAD", "/file").body == b""


def test_json_goes_both_ways(visit: Visit, site: WSGIApplication) -> None:
    browser = visit(site)
    page = browser.ask("POST", "/json", b'{"a": 1}', {"Content-Type": "application/json"})
    url = f"http://{browser.connection.host}:{browser.connection.port}/json"
    assert page.text == f'{{"body": {{"a": 1}}, "url": "{url}", "client": "127.0.0.1"}}'


def test_path_is_decoded_as_utf_8(visit: Visit, site: WSGIApplication) -> None:
    assert visit(site).get("/path/caf%C3%A9/a%2Fb").text == "café/a/b"


def test_error_pages_are_those_of_the_framework(visit: Visit, site: WSGIApplication) -> None:
    browser = visit(site)
    assert "nothing here" in browser.get("/missing").text
    assert browser.get("/unknown").status == 404
    # Pyramid leaves what a view raises to the server.
    assert browser.get("/broken").body == b"500 Internal Server Error\n"
    assert browser.get("/me").status == 200
