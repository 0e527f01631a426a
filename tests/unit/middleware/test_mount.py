"""Mount: where a request goes, and that SCRIPT_NAME and PATH_INFO move as PEP 3333 says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from barkeep.errors import SettingError
from barkeep.middleware.mount import Mount
from tests.middleware_cases import Case, call, check_both_sides, each_case, make_environ

if TYPE_CHECKING:
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


def named(name: str) -> WSGIApplication:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        return [f"{name} {environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode()]

    return application


PLACES = {
    "/api": named("api"),
    "/api/v2": named("v2"),
    "admin.example": named("admin"),
    "*.shop.example": named("shop"),
    "admin.example/api": named("admin api"),
}


@each_case
def test_is_valid_on_both_sides(case: Case) -> None:
    check_both_sides(Mount(PLACES), case)
    check_both_sides(lambda application: Mount({"/": application})(named("rest")), case)


@pytest.mark.parametrize(
    ("host", "path", "seen"),
    [
        ("a.example", "/", "rest  /"),
        ("a.example", "/api", "api /api "),
        ("a.example", "/api/", "api /api /"),
        ("a.example", "/api/users", "api /api /users"),
        ("a.example", "/apis", "rest  /apis"),
        ("a.example", "/api/v2/x", "v2 /api/v2 /x"),
        ("admin.example:81", "/x", "admin  /x"),
        ("ADMIN.example", "/api/x", "admin api /api /x"),
        ("x.shop.example", "/api", "shop  /api"),
        ("shop.example", "/", "rest  /"),
        ("admin.example", "*", "admin  *"),
    ],
)
def test_the_most_exact_place_counts(host: str, path: str, seen: str) -> None:
    answer = call(Mount(PLACES)(named("rest")), make_environ(path, HTTP_HOST=host))
    assert answer.body.decode() == seen


def test_script_name_of_an_outer_mount_stays() -> None:
    environ = make_environ("/api/x", SCRIPT_NAME="/outer")
    assert call(Mount(PLACES)(named("rest")), environ).body == b"api /outer/api /x"


def test_targets_are_loaded_by_name(site: Path) -> None:
    site.joinpath("other.py").write_text(
        "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'loaded']\n"
    )
    assert call(Mount("/other=other:app")(named("rest")), make_environ("/other")).body == b"loaded"


@pytest.mark.parametrize(
    "places", [{}, {"api": 5}, {"/a b": named("x")}, {"//": named("x")}, {5: named("x")}, 7]
)
def test_unusable_places_are_told(places: object) -> None:
    with pytest.raises(SettingError, match="Mount: places must be a table such as"):
        Mount(places)
