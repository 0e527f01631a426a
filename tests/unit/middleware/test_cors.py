"""Cors: preflight requests, and who may read which answer (Fetch Standard)."""

from __future__ import annotations

import pytest

from barkeep.errors import SettingError
from barkeep.middleware.cors import Cors
from tests.apps import answering
from tests.middleware_cases import Answer, Case, call, check_both_sides, each_case, make_environ

ORIGIN = "https://a.example"


@each_case
def test_is_valid_on_both_sides(case: Case) -> None:
    for answer in check_both_sides(Cors(ORIGIN), case, HTTP_ORIGIN=ORIGIN):
        assert case.error is not None or answer.field("Access-Control-Allow-Origin") == ORIGIN


def simple(origin: str, **settings: object) -> Answer:
    piece = Cors(**{"origins": [ORIGIN, "https://*.b.example", "null"], **settings})
    return call(piece(answering(b"body")), make_environ(HTTP_ORIGIN=origin))


def preflight(method: str = "PUT", names: str = "", origin: str = ORIGIN, **settings: object) -> Answer:
    environ = make_environ(
        method="OPTIONS",
        HTTP_ORIGIN=origin,
        HTTP_ACCESS_CONTROL_REQUEST_METHOD=method,
        HTTP_ACCESS_CONTROL_REQUEST_HEADERS=names,
    )
    return call(Cors(**{"origins": ORIGIN, **settings})(answering(b"not asked")), environ)


@pytest.mark.parametrize("origin", [ORIGIN, "https://x.b.example", "https://y.x.b.example", "null"])
def test_allowed_origins_are_named(origin: str) -> None:
    answer = simple(origin)
    assert answer.field("Access-Control-Allow-Origin") == origin
    assert answer.field("Vary") == "Origin"
    assert answer.body == b"body"


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "http://a.example",
        "https://a.example:444",
        "https://b.example",
        "https://xb.example",
        "https://x.b.example.evil",
        "https://evil/x.b.example",
        "https://evil?.b.example",
    ],
)
def test_other_origins_get_no_permission_and_the_answer_varies(origin: str) -> None:
    answer = simple(origin)
    assert answer.field("Access-Control-Allow-Origin") is None
    assert answer.field("Vary") == "Origin"
    assert answer.body == b"body"


def test_open_to_all_says_so_without_varying() -> None:
    answer = simple("https://anyone.example", origins="*", expose="X-Total")
    assert answer.field("Access-Control-Allow-Origin") == "*"
    assert answer.field("Access-Control-Expose-Headers") == "X-Total"
    assert answer.field("Vary") is None


def test_credentials_are_allowed_to_named_origins_only() -> None:
    assert simple(ORIGIN, credentials=True).field("Access-Control-Allow-Credentials") == "true"
    with pytest.raises(SettingError, match="Cors: credentials cannot be on for origins"):
        Cors("*", credentials=True)


def test_fields_of_the_application_give_way() -> None:
    application = answering(b"", fields=[("Access-Control-Allow-Origin", "*"), ("Vary", "Cookie")])
    answer = call(Cors(ORIGIN)(application), make_environ(HTTP_ORIGIN=ORIGIN))
    assert answer.field("Access-Control-Allow-Origin") == ORIGIN
    assert answer.field("Vary") == "Cookie, Origin"


def test_preflight_is_answered_without_the_application() -> None:
    answer = preflight(names="content-type, X-Token", headers="Content-Type, X-Token", max_age="5m")
    assert answer.status == "204 No Content"
    assert answer.body == b""
    assert dict(answer.headers) == {
        "Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
        "Access-Control-Allow-Origin": ORIGIN,
        "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        "Access-Control-Max-Age": "300",
        "Access-Control-Allow-Headers": "content-type, x-token",
    }


def test_a_star_for_headers_allows_authorization_by_its_name() -> None:
    answer = preflight(names="authorization", headers="*", credentials=True)
    assert answer.field("Access-Control-Allow-Headers") == "authorization"


@pytest.mark.parametrize(
    "refused",
    [
        preflight(origin="https://evil.example"),
        preflight(method="TRACE"),
        preflight(names="X-Token"),
        preflight(names="bad name", headers="X-Token"),
    ],
    ids=["origin", "method", "header", "broken header"],
)
def test_preflight_for_what_is_not_allowed_gets_no_permission(refused: Answer) -> None:
    assert refused.status == "403 Forbidden"
    assert not [name for name, _value in refused.headers if name.startswith("Access-Control")]
    assert "Origin" in (refused.field("Vary") or "")


def test_other_options_requests_reach_the_application() -> None:
    answer = call(Cors(ORIGIN)(answering(b"own")), make_environ(method="OPTIONS", HTTP_ORIGIN=ORIGIN))
    assert answer.body == b"own"


def test_origins_with_a_path_are_setting_errors() -> None:
    with pytest.raises(SettingError, match="Cors: origins must be origins such as"):
        Cors("https://a.example/")
