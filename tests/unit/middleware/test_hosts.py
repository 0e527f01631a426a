"""AllowedHosts and HttpsRedirect: which hosts are answered for, and where http leads."""

from __future__ import annotations

import pytest

from barkeep.errors import SettingError
from barkeep.middleware.allowed_hosts import AllowedHosts
from barkeep.middleware.https_redirect import HttpsRedirect
from tests.apps import answering
from tests.middleware_cases import Answer, Case, call, check_both_sides, each_case, make_environ


@each_case
def test_allowed_requests_are_valid_on_both_sides(case: Case) -> None:
    check_both_sides(AllowedHosts("a.example"), case, HTTP_HOST="a.example")


@each_case
def test_https_requests_are_valid_on_both_sides(case: Case) -> None:
    check_both_sides(HttpsRedirect(), case, **{"wsgi.url_scheme": "https"})  # type: ignore[arg-type]


def status_for(host: str, path: str = "/", **settings: object) -> str:
    piece = AllowedHosts(["a.example", "*.b.example", "[::1]"], **settings)
    return call(piece(answering(b"")), make_environ(path, HTTP_HOST=host)).status[:3]


@pytest.mark.parametrize(
    "host",
    ["a.example", "A.Example", "a.example:8000", "a.example.", "x.b.example", "y.x.b.example", "[::1]:80"],
)
def test_own_hosts_are_answered(host: str) -> None:
    assert status_for(host) == "200"


@pytest.mark.parametrize(
    "host",
    [
        "",
        "b.example",
        "xb.example",
        "a.example.evil",
        "evil/a.example",
        "a.example@evil",
        "a.example:x",
        "a example",
        "[::2]",
    ],
)
def test_other_hosts_are_refused(host: str) -> None:
    assert status_for(host) == "400"


def test_a_request_without_host_is_refused() -> None:
    environ = make_environ()
    del environ["HTTP_HOST"]
    assert call(AllowedHosts("a.example")(answering(b"")), environ).status[:3] == "400"


def test_excepted_paths_take_any_host() -> None:
    assert status_for("10.0.0.1", "/health/live", except_paths="/health") == "200"
    assert status_for("10.0.0.1", "/healthy", except_paths="/health") == "400"


def test_a_star_allows_all_at_no_cost() -> None:
    application = answering(b"")
    assert AllowedHosts("*")(application) is application


def test_a_host_with_a_scheme_is_a_setting_error() -> None:
    with pytest.raises(SettingError, match="AllowedHosts: hosts must be names such as"):
        AllowedHosts("https://a.example")


def redirected(path: str = "/a", host: str = "a.example:8000", query: str = "", **settings: object) -> Answer:
    environ = make_environ(path, HTTP_HOST=host, QUERY_STRING=query)
    return call(HttpsRedirect(**settings)(answering(b"plain")), environ)


def test_http_is_redirected_with_path_and_query() -> None:
    answer = redirected("/a b/\u00c3\u00bc", query="c=d&e=%20")
    assert answer.status == "308 Permanent Redirect"
    assert answer.field("Location") == "https://a.example/a%20b/%C3%BC?c=d&e=%20"


def test_host_port_and_status_can_be_set() -> None:
    answer = redirected(host="other.example", port=8443, status="301")
    assert answer.field("Location") == "https://other.example:8443/a"
    assert answer.status == "301 Moved Permanently"
    environ = make_environ("/", HTTP_HOST="evil.example")
    fixed = call(HttpsRedirect("a.example")(answering(b"")), environ)
    assert fixed.field("Location") == "https://a.example/"


def test_a_path_of_two_slashes_cannot_lead_to_another_host() -> None:
    assert redirected("//evil.example/x").field("Location") == "https://a.example/evil.example/x"


def test_a_broken_host_is_refused() -> None:
    assert redirected(host="a.example/x?").status == "400 Bad Request"


def test_certificates_can_be_renewed_over_http() -> None:
    assert redirected("/.well-known/acme-challenge/token").body == b"plain"


def test_https_host_must_be_one() -> None:
    with pytest.raises(SettingError, match="HttpsRedirect: host must be one host"):
        HttpsRedirect(host=["a.example", "b.example"])
