"""Bottle through a real socket: forms, uploads, streams and files, also under wsgiref.validate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bottle  # type: ignore[import-untyped]
import pytest

from tests.conformance.frameworks.browser import upload_report
from tests.conformance.frameworks.conftest import FILE_CONTENT
from tests.conformance.frameworks.validated import validated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from wsgiref.types import WSGIApplication

    from tests.conformance.frameworks.conftest import Visit

# Bottle leaves the files of uploads to the garbage collector, of which Python 3.14 warns.
pytestmark = pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")

SECRET = "only for tests"


def login() -> str:
    """Remember a name in a signed cookie."""
    bottle.response.set_cookie("name", bottle.request.forms.name, secret=SECRET)
    return "remembered"


def me() -> str:
    """Tell the name."""
    name: str = bottle.request.get_cookie("name", default="nobody", secret=SECRET)
    return name


def upload() -> str:
    """Tell what arrived."""
    file = bottle.request.files["file"]
    return upload_report(bottle.request.forms.title, file.raw_filename, file.file.read())


def stream() -> Iterator[str]:
    """An answer made while it is sent."""
    for number in range(5):
        yield f"pour {number}\n"


def echo_json() -> dict[str, Any]:
    """The body again, with facts about the request."""
    request = bottle.request
    return {"body": request.json, "url": request.url, "client": request.remote_addr}


def echo_path(path: str) -> str:
    """The path as Bottle decodes it."""
    return path


def missing() -> None:
    """A page that is not there."""
    bottle.abort(404, "nothing here")


def broken() -> None:
    """A view that fails."""
    raise ValueError("broken on purpose")


def make_site(file_path: Path) -> WSGIApplication:
    """A site with one view per thing to try."""
    site = bottle.Bottle()

    def file() -> Any:
        return bottle.static_file(file_path.name, root=str(file_path.parent))

    site.route("/login", "POST", login)
    site.route("/me", "GET", me)
    site.route("/upload", "POST", upload)
    site.route("/stream", "GET", stream)
    site.route("/file", "GET", file)
    site.route("/json", "POST", echo_json)
    site.route("/path/<path:path>", "GET", echo_path)
    site.route("/missing", "GET", missing)
    site.route("/broken", "GET", broken)
    application: WSGIApplication = site
    return application


@pytest.fixture(params=["plain", "validated"])
def site(request: pytest.FixtureRequest, file_path: Path) -> WSGIApplication:
    """The site as it is, and with every call checked by wsgiref.validate."""
    site = make_site(file_path)
    return site if request.param == "plain" else validated(site)


def test_signed_cookie_lives_from_page_to_page(visit: Visit, site: WSGIApplication) -> None:
    browser = visit(site)
    assert browser.get("/me").text == "nobody"
    assert browser.post("/login", {"name": "Ann & Co"}).text == "remembered"
    assert [browser.get("/me").text for _ in range(2)] == ["Ann & Co"] * 2


@pytest.mark.parametrize("size", [0, 1024, 3_000_000])
def test_upload_arrives_whole(visit: Visit, site: WSGIApplication, size: int) -> None:
    content = bytes(range(256)) * (size // 256)
    browser = visit(site)
    for _ in range(2):
        page = browser.upload("/upload", "a file.bin", content)
        assert page.text == upload_report("a title", "a file.bin", content)


def test_stream_arrives_in_chunks(visit: Visit, site: WSGIApplication) -> None:
    browser = visit(site)
    for _ in range(2):
        page = browser.get("/stream")
        assert page.text == "pour 0\npour 1\npour 2\npour 3\npour 4\n"
        assert page.headers["Transfer-Encoding"] == "chunked"


def test_file_is_sent_whole_in_part_and_not_at_all(visit: Visit, site: WSGIApplication) -> None:
    browser = visit(site)
    whole = browser.get("/file")
    assert whole.body == FILE_CONTENT
    part = browser.get("/file", Range="bytes=100-299999")
    assert (part.status, part.body) == (206, FILE_CONTENT[100:300_000])
    unchanged = browser.get("/file", If_Modified_Since=whole.headers["Last-Modified"])
    assert (unchanged.status, unchanged.body) == (304, b"")
    head = browser.ask("HEAD", "/file")
    assert (head.headers["Content-Length"], head.body) == (str(len(FILE_CONTENT)), b"")


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
    assert browser.get("/broken").status == 500
    assert browser.ask("DELETE", "/me").status == 405
