"""Flask through a real socket: sessions, uploads, streams and files, also under wsgiref.validate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from flask import Flask, Response, abort, jsonify, redirect, request, send_file, session, stream_with_context

from tests.conformance.frameworks.browser import upload_report
from tests.conformance.frameworks.conftest import FILE_CONTENT
from tests.conformance.frameworks.validated import validated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import WSGIApplication

    from werkzeug.wrappers import Response as AnyResponse

    from tests.conformance.frameworks.conftest import Visit


def make_site(file_path: Path) -> WSGIApplication:
    """A site with one view per thing to try."""
    site = Flask("site")
    site.secret_key = "only for tests"

    @site.post("/login")
    def login() -> AnyResponse:
        session["name"] = request.form["name"]
        return redirect("/me")

    @site.get("/me")
    def me() -> str:
        session["visits"] = session.get("visits", 0) + 1
        return f"{session.get('name', 'nobody')}, visit {session['visits']}"

    @site.post("/upload")
    def upload() -> str:
        file = request.files["file"]
        return upload_report(request.form["title"], file.filename or "", file.read())

    @site.get("/stream")
    def stream() -> Response:
        def generate() -> Iterator[str]:
            yield "for "
            for number in range(3):
                yield f"{request.args['name']} {number} "

        return Response(stream_with_context(generate()), content_type="text/plain")

    @site.get("/file")
    def file() -> Response:
        return send_file(file_path, conditional=True)

    @site.post("/json")
    def echo_json() -> Response:
        return jsonify(request.get_json(), request.headers["X-Sent"], request.remote_addr, request.url)

    @site.route("/<path:path>")
    def echo_path(path: str) -> str:
        return f"{request.method} {path}"

    @site.get("/missing")
    def missing() -> str:
        abort(404, "nothing here")

    @site.get("/broken")
    def broken() -> str:
        raise ValueError("broken on purpose")

    application: WSGIApplication = site
    return application


@pytest.fixture(params=["plain", "validated"])
def site(request: pytest.FixtureRequest, file_path: Path) -> WSGIApplication:
    """The site as it is, and with every call checked by wsgiref.validate."""
    site = make_site(file_path)
    return site if request.param == "plain" else validated(site)


def test_session_lives_from_page_to_page(visit: Visit, site: WSGIApplication) -> None:
    browser = visit(site)
    answer = browser.post("/login", {"name": "Zoë & Co"})
    assert (answer.status, answer.headers["Location"]) == (302, "/me")
    assert [browser.get("/me").text for _ in range(2)] == ["Zoë & Co, visit 1", "Zoë & Co, visit 2"]
    assert visit(site).get("/me").text == "nobody, visit 1"


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("size", [0, 1000, 3_000_000])
def test_upload_arrives_whole(visit: Visit, site: WSGIApplication, size: int, is_chunked: bool) -> None:
    content = bytes(range(256)) * (size // 256)
    browser = visit(site)
    for _ in range(2):
        page = browser.upload("/upload", "a file.bin", content, is_chunked=is_chunked)
        assert page.text == upload_report("a title", "a file.bin", content)


def test_stream_keeps_its_request_context(visit: Visit, site: WSGIApplication) -> None:
    browser = visit(site)
    for _ in range(2):
        page = browser.get("/stream?name=Ann")
        assert page.text == "for Ann 0 Ann 1 Ann 2 "
        assert page.headers["Transfer-Encoding"] == "chunked"


def test_file_is_sent_whole_in_part_and_not_at_all(visit: Visit, site: WSGIApplication) -> None:
    browser = visit(site)
    whole = browser.get("/file")
    assert whole.body == FILE_CONTENT
    part = browser.get("/file", Range="bytes=100-299999")
    assert (part.status, part.body) == (206, FILE_CONTENT[100:300_000])
    unchanged = browser.get("/file", If_None_Match=whole.headers["ETag"])
    assert (unchanged.status, unchanged.body) == (304, b"")
    head = browser.ask("HEAD", "/file")
    assert (head.headers["Content-Length"], head.body) == (str(len(FILE_CONTENT)), b"")


def test_json_goes_both_ways(visit: Visit, site: WSGIApplication) -> None:
    browser = visit(site)
    headers = {"Content-Type": "application/json", "X-Sent": "yes"}
    page = browser.ask("POST", "/json", b'{"a": [1, "\xc3\xab"]}', headers)
    url = f"http://{browser.connection.host}:{browser.connection.port}/json"
    assert page.text.strip() == f'[{{"a":[1,"\\u00eb"]}},"yes","127.0.0.1","{url}"]'


def test_path_is_decoded_as_utf_8(visit: Visit, site: WSGIApplication) -> None:
    assert visit(site).get("/caf%C3%A9/a%2Fb").text == "GET café/a/b"


def test_error_pages_are_those_of_the_framework(visit: Visit, site: WSGIApplication) -> None:
    browser = visit(site)
    assert "nothing here" in browser.get("/missing").text
    assert browser.get("/broken").status == 500
    assert browser.ask("DELETE", "/file").status == 405
    assert browser.get("/me/still-works").status == 200
