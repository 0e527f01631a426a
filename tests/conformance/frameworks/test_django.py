"""Django through a real socket: admin, ORM, uploads, streams and files, also under wsgiref.validate."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.conformance.frameworks.browser import Browser, Page, upload_report
from tests.conformance.frameworks.conftest import FILE_CONTENT
from tests.conformance.frameworks.django_site import ADMIN, PASSWORD, make_site
from tests.conformance.frameworks.validated import validated

if TYPE_CHECKING:
    from pathlib import Path
    from wsgiref.types import WSGIApplication

    from tests.conformance.frameworks.conftest import Visit


@pytest.fixture(scope="session")
def django_application(tmp_path_factory: pytest.TempPathFactory, file_path: Path) -> WSGIApplication:
    """The one site of this process."""
    return make_site(tmp_path_factory.mktemp("django"), file_path)


@pytest.fixture(params=["plain", "validated"])
def site(request: pytest.FixtureRequest, django_application: WSGIApplication) -> WSGIApplication:
    """The site as it is, and with every call checked by wsgiref.validate."""
    return django_application if request.param == "plain" else validated(django_application)


def submit(browser: Browser, target: str, form: dict[str, str]) -> Page:
    """Open the page of a form and send it, with the token that Django asks for."""
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', browser.get(target).text)
    assert token is not None
    return browser.post(target, {**form, "csrfmiddlewaretoken": token[1]})


def test_administrator_logs_in_and_adds_a_group_with_the_admin(visit: Visit, site: WSGIApplication) -> None:
    browser = visit(site)
    assert browser.get("/admin/").status == 302
    wrong = submit(browser, "/admin/login/?next=/admin/", {"username": ADMIN, "password": "wrong"})
    assert "Please enter the correct" in wrong.text
    answer = submit(browser, "/admin/login/?next=/admin/", {"username": ADMIN, "password": PASSWORD})
    assert (answer.status, answer.headers["Location"]) == (302, "/admin/")
    assert "Site administration" in browser.get("/admin/").text
    name = f"Stammgäste of {browser.connection.port}"
    added = submit(browser, "/admin/auth/group/add/", {"name": name})
    assert (added.status, added.headers["Location"]) == (302, "/admin/auth/group/")
    assert name in browser.get("/admin/auth/group/").text


def test_form_without_its_token_is_refused_by_django(visit: Visit, site: WSGIApplication) -> None:
    page = visit(site).post("/admin/login/", {"username": ADMIN, "password": PASSWORD})
    assert page.status == 403


def test_objects_are_written_and_read_from_many_threads(visit: Visit, site: WSGIApplication) -> None:
    # One thread writes at a time: SQLite would make the others wait for its lock.
    browser = visit(site, threads=4)
    names = [f"{browser.connection.port}-{number}" for number in range(8)]
    for name in names:
        assert name in json.loads(browser.post("/groups/", {"name": name}).body)
    assert set(names) <= set(json.loads(browser.get("/groups/").body))


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize(("size", "kind"), [(1024, "InMemory"), (3_000_000, "Temporary")])
def test_upload_arrives_whole(
    visit: Visit, site: WSGIApplication, size: int, kind: str, is_chunked: bool
) -> None:
    content = bytes(range(256)) * (size // 256)
    # Django reads as many bytes as CONTENT_LENGTH says, and none without. A chunked body has one when it was
    # received whole, so the buffer must have room for it.
    settings = {"request_buffer": 4 * 1024 * 1024} if is_chunked else {}
    page = visit(site, **settings).upload("/upload/", "a file.bin", content, is_chunked=is_chunked)
    assert page.text == f"{kind}UploadedFile: " + upload_report("a title", "a file.bin", content)


def test_body_is_echoed(visit: Visit, site: WSGIApplication) -> None:
    page = visit(site).ask("PUT", "/echo/", bytes(range(256)) * 100, {"Content-Type": "application/x-odd"})
    assert (page.body, page.headers["Content-Type"]) == (bytes(range(256)) * 100, "application/x-odd")


def test_stream_arrives_in_chunks(visit: Visit, site: WSGIApplication) -> None:
    browser = visit(site)
    for _ in range(2):
        page = browser.get("/stream/")
        assert page.text == "pour 0\npour 1\npour 2\npour 3\npour 4\n"
        assert page.headers["Transfer-Encoding"] == "chunked"


def test_file_is_sent_whole(visit: Visit, site: WSGIApplication) -> None:
    browser = visit(site)
    for _ in range(2):
        page = browser.get("/file/")
        assert page.body == FILE_CONTENT
        assert page.headers["Content-Length"] == str(len(FILE_CONTENT))


def test_error_pages_are_those_of_the_framework(visit: Visit, site: WSGIApplication) -> None:
    browser = visit(site)
    assert browser.get("/missing/").status == 404
    assert browser.get("/broken/").status == 500
    assert browser.get("/admin").headers["Location"] == "/admin/"
    assert browser.ask("GET", "/stream/", headers={"Host": "evil.example"}).status == 400
