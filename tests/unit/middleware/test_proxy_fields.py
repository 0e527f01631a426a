"""What a proxy makes of paths and fields, both ways, as text."""

from __future__ import annotations

from typing import Any

import pytest

from barkeep.errors import SettingError
from barkeep.middleware import proxy_fields
from barkeep.middleware.proxy import Proxy
from barkeep.middleware.upstream import Upstream, find_mount, mounts_kind, target_of
from tests.apps import answering
from tests.middleware_cases import call, check_both_sides, each_case, make_environ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tests.middleware_cases import Case

NOBODY = "http://127.0.0.1:9"


@each_case
def test_every_form_of_answer_passes_through_from_paths_that_are_not_mounted(case: Case) -> None:
    check_both_sides(Proxy({"/api": NOBODY}), case)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/api", "/api"),
        ("/api/", "/api"),
        ("/api/v1/x", "/api/v1"),
        ("/apis", ""),
        ("/", ""),
        ("/api/v1x", "/api"),
    ],
)
def test_the_longest_mount_whose_segments_begin_the_path_is_meant(path: str, found: str) -> None:
    mounts = mounts_kind().read({"/api": NOBODY, "/api/v1/": NOBODY, "/": NOBODY})
    mount = find_mount(mounts, path)
    assert mount is not None
    assert mount[0] == found


@pytest.mark.parametrize(
    ("upstream", "environ", "target"),
    [
        ("http://a/v2", {"PATH_INFO": "/api/x"}, "/v2/x"),
        ("http://a/v2/", {"PATH_INFO": "/api/"}, "/v2/"),
        ("http://a/v2", {"PATH_INFO": "/api"}, "/v2"),
        ("http://a", {"PATH_INFO": "/api"}, "/"),
        ("unix:/run/a.sock:/v2", {"PATH_INFO": "/api/x"}, "/v2/x"),
        ("http://a", {"PATH_INFO": "/api/x", "QUERY_STRING": "a=%20&b"}, "/x?a=%20&b"),
        ("http://a", {"PATH_INFO": "/api/a b\xc3\xa9?#%"}, "/a%20b%C3%A9%3F%23%25"),
        ("http://a", {"PATH_INFO": "/api/a/b", "REQUEST_URI": "/api/a%2Fb"}, "/a%2Fb"),
        ("http://a", {"PATH_INFO": "/api/a", "SCRIPT_NAME": "/s", "RAW_URI": "/s/api/%61?x"}, "/%61"),
        ("http://a", {"PATH_INFO": "/api/a", "REQUEST_URI": "/elsewhere/b"}, "/a"),
        ("http://a", {"PATH_INFO": "/api/a", "REQUEST_URI": "http://host/api/a"}, "/a"),
    ],
)
def test_the_target_is_the_base_and_what_follows_the_mount(
    upstream: str, environ: dict[str, str], target: str
) -> None:
    found = make_environ(**{"SCRIPT_NAME": "", **environ})  # type: ignore[arg-type]
    assert target_of(found, "/api", Upstream(upstream)) == target


@pytest.mark.parametrize(
    ("base", "location", "seen"),
    [
        ("http://a:9000/v2", "http://a:9000/v2/x", "/api/x"),
        ("http://a:9000/v2", "/v2/x?y", "/api/x?y"),
        ("http://a:9000/v2", "/v2", "/api"),
        ("http://a:9000/v2", "/v22", "/v22"),
        ("http://a:9000/v2", "http://a:9000/other", "http://a:9000/other"),
        ("http://a:9000", "http://a:9000", "/api/"),
        ("http://a:9000", "http://a:90001/", "http://a:90001/"),
        ("http://a:9000", "/login", "/api/login"),
        ("http://a:9000", "/api/login", "/api/login"),
        ("http://a:9000", "//b/x", "//b/x"),
        ("http://a:9000", "https://b/x", "https://b/x"),
        ("http://a:9000", "x", "x"),
    ],
)
def test_a_location_of_the_upstream_is_one_that_clients_can_follow(
    base: str, location: str, seen: str
) -> None:
    assert proxy_fields.public_location(location, Upstream(base), "/api") == seen


def test_fields_of_one_hop_and_fields_about_the_client_stay_behind() -> None:
    environ = make_environ(
        HTTP_CONNECTION="close, X-Secret",
        HTTP_X_SECRET="1",
        HTTP_TE="trailers",
        HTTP_UPGRADE="websocket",
        HTTP_KEEP_ALIVE="timeout=5",
        HTTP_PROXY_AUTHORIZATION="Basic x",
        HTTP_EXPECT="100-continue",
        HTTP_X_FORWARDED_FOR="127.0.0.1",
        HTTP_FORWARDED="for=127.0.0.1",
        HTTP_X_REAL_IP="127.0.0.1",
        HTTP_ACCEPT="text/html",
        CONTENT_TYPE="text/plain",
        CONTENT_LENGTH="3",
    )
    assert proxy_fields.request_fields(environ) == [
        ("accept", "text/html"),
        ("content-type", "text/plain"),
        ("content-length", "3"),
    ]


def test_a_body_without_a_length_goes_on_in_chunks() -> None:
    environ = make_environ(HTTP_TRANSFER_ENCODING="chunked")
    assert ("transfer-encoding", "chunked") in proxy_fields.request_fields(environ)
    assert proxy_fields.has_body(environ)
    assert not proxy_fields.has_body(make_environ(CONTENT_LENGTH="0"))
    assert ("content-length", "0") in proxy_fields.request_fields(make_environ(CONTENT_LENGTH="0"))


def test_the_upstream_is_told_about_the_client() -> None:
    environ = make_environ(REMOTE_ADDR="2001:db8::1", HTTP_HOST="shop.example", SCRIPT_NAME="/s")
    assert dict(proxy_fields.x_forwarded(environ, "/api")) == {
        "x-forwarded-for": "2001:db8::1",
        "x-forwarded-proto": "http",
        "x-forwarded-port": "80",
        "x-forwarded-host": "shop.example",
        "x-forwarded-prefix": "/s/api",
    }
    element = 'for="[2001:db8::1]";proto=http;host="shop.example"'
    assert proxy_fields.forwarded(environ, "/api") == [("forwarded", element)]
    assert proxy_fields.forwarded(make_environ(REMOTE_ADDR=""), "")[0][1].startswith("for=unknown;")


def test_fields_of_one_hop_stay_behind_in_the_answer() -> None:
    headers = [
        ("Connection", "keep-alive, X-Mine"),
        ("Keep-Alive", "timeout=5"),
        ("X-Mine", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Length", "7"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=\xe9"),
        ("X-Folded", "one\r\n  two"),
    ]
    assert proxy_fields.response_head(200, "Fine", headers) == (
        "200 Fine",
        [("Set-Cookie", "a=1"), ("Set-Cookie", "b=\xe9"), ("X-Folded", "one two")],
    )
    assert proxy_fields.response_head(404, "", [])[0] == "404 Not Found"
    assert proxy_fields.response_head(599, "", [])[0] == "599 Unknown"


@pytest.mark.parametrize(
    "path", ["/api/../admin", "/api/..", "/api/./x", "/api/..\\admin", "/api/..;/admin", "/api/x/../../admin"]
)
def test_a_path_that_leads_out_of_its_mount_is_refused(path: str) -> None:
    assert call(Proxy({"/api": NOBODY})(answering(b"")), make_environ(path)).status == "400 Bad Request"


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
def test_methods_about_the_connection_are_not_passed_on(method: str) -> None:
    answer = call(Proxy({"/": NOBODY})(answering(b"")), make_environ(method=method))
    assert answer.status == "501 Not Implemented"


def test_a_request_that_came_through_here_before_goes_in_a_circle() -> None:
    application = Proxy({"/": NOBODY}, via="me")(answering(b""))
    answer = call(application, make_environ(HTTP_VIA="1.1 other, HTTP/1.1 me (a comment)"))
    assert answer.status == "508 Loop Detected"


def test_a_body_whose_end_the_server_does_not_tell_is_refused() -> None:
    application = Proxy({"/": NOBODY})(answering(b""))
    answer = call(application, make_environ(method="POST", HTTP_TRANSFER_ENCODING="chunked"))
    assert answer.status == "411 Length Required"


def test_options_with_no_forwards_left_is_answered_here() -> None:
    application = Proxy({"/": NOBODY})(answering(b""))
    assert call(application, make_environ(method="OPTIONS", HTTP_MAX_FORWARDS="0")).status == "200 OK"


def test_the_name_in_via_is_the_same_in_each_process_and_another_for_other_mounts() -> None:
    here, there = Proxy({"/": NOBODY}), Proxy({"/x": NOBODY})
    assert here.pseudonym() == Proxy({"/": NOBODY}).pseudonym() != there.pseudonym()


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({}, "mounts is needed"),
        ({"mounts": "/api"}, "mounts must be paths and their upstreams"),
        ({"mounts": {"api": NOBODY}}, "mounts must be"),
        ({"mounts": {"/a%20b": NOBODY}}, "without escapes"),
        ({"mounts": {"/a/../b": NOBODY}}, "without escapes"),
        ({"mounts": {"/": "ftp://a"}}, "begins with http://HOST"),
        ({"mounts": {"/": "http://user:secret@a"}}, "no user"),
        ({"mounts": {"/": "http://a:99999"}}, "mounts must be"),
        ({"mounts": {"/": "unix:run/a.sock"}}, "begins with /"),
        ({"mounts": {"/": NOBODY}, "via": "a b"}, "letters, digits"),
    ],
)
def test_a_wrong_setting_says_what_is_allowed(settings: dict[str, Any], part: str) -> None:
    with pytest.raises(SettingError, match=part):
        Proxy(**settings)


def test_mounts_may_be_written_as_one_text() -> None:
    piece = Proxy("/api=http://127.0.0.1:9000/v2, /=unix:/run/site.sock:/base")
    assert [(path, upstream.origin, upstream.base) for path, upstream in piece.mounts] == [
        ("/api", "http://127.0.0.1:9000", "/v2"),
        ("", "http://localhost", "/base"),
    ]
    assert piece.mounts[1][1].socket == "/run/site.sock"
