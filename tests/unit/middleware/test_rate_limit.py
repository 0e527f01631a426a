"""RateLimit: what is counted together, what a refusal says, and what is wrong with a setting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from barkeep.errors import SettingError
from barkeep.middleware.rate_limit import RateLimit
from tests.apps import answering
from tests.middleware_cases import Answer, call, check_both_sides, each_case, make_environ

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from tests.middleware_cases import Case

OK, REFUSED = "200 OK", "429 Too Many Requests"


def ask(application: WSGIApplication, **environ: Any) -> Answer:
    return call(application, make_environ(**environ))


def statuses(piece: RateLimit, *requests: dict[str, Any]) -> list[str]:
    application = piece(answering(b"hello"))
    return [ask(application, **request).status for request in requests]


@each_case
@pytest.mark.parametrize("fields", ["all", "off"])
def test_every_form_of_answer_passes_through(case: Case, fields: str) -> None:
    check_both_sides(RateLimit("1000/minute", fields=fields), case)


def test_the_request_above_the_limit_is_refused_with_when_to_come_back() -> None:
    application = RateLimit("2/minute; 100/day")(answering(b"hello"))
    assert [ask(application).status for _ in range(2)] == [OK, OK]
    refused = ask(application)
    assert refused.status == REFUSED
    assert refused.field("Retry-After") == "60"
    assert refused.field("RateLimit-Policy") == '"2-per-60s";q=2;w=60, "100-per-86400s";q=100;w=86400'
    assert refused.field("RateLimit") == '"2-per-60s";r=0;t=60'
    assert refused.body == b"Too many requests. Try again in 60 s.\n"


def test_a_longer_limit_refuses_too() -> None:
    assert statuses(RateLimit("1/day; 100/minute"), {}, {}) == [OK, REFUSED]


def test_answers_say_what_is_left_when_they_are_asked_to() -> None:
    application = RateLimit("2/minute", fields="all", window="fixed")(answering(b"hello"))
    assert ask(application).field("RateLimit") == '"2-per-60s";r=1;t=60'
    assert ask(RateLimit("2/minute")(answering(b"hello"))).field("RateLimit") is None


def test_fields_can_be_left_out_of_refusals_but_not_retry_after() -> None:
    application = RateLimit("1/minute", fields="off")(answering(b"hello"))
    ask(application)
    refused = ask(application)
    assert refused.field("RateLimit") is None
    assert refused.field("Retry-After") == "60"


def test_a_refusal_of_head_has_no_body() -> None:
    application = RateLimit("1/minute")(answering(b""))
    ask(application, method="HEAD")
    refused = ask(application, method="HEAD")
    assert (refused.status, refused.body) == (REFUSED, b"")


@pytest.mark.parametrize(
    ("key", "first", "second", "is_shared"),
    [
        ("address", {"REMOTE_ADDR": "192.0.2.1"}, {"REMOTE_ADDR": "192.0.2.1"}, True),
        ("address", {"REMOTE_ADDR": "192.0.2.1"}, {"REMOTE_ADDR": "192.0.2.2"}, False),
        ("address", {"REMOTE_ADDR": "2001:db8::1"}, {"REMOTE_ADDR": "2001:db8::2:1"}, True),
        ("address", {"REMOTE_ADDR": "2001:db8::1"}, {"REMOTE_ADDR": "2001:db8:0:1::1"}, False),
        ("address", {"REMOTE_ADDR": "::ffff:192.0.2.1"}, {"REMOTE_ADDR": "192.0.2.1"}, True),
        (
            "header:X-Api-Key",
            {"HTTP_X_API_KEY": "a"},
            {"HTTP_X_API_KEY": "a", "REMOTE_ADDR": "1.2.3.4"},
            True,
        ),
        ("header:X-Api-Key", {"HTTP_X_API_KEY": "a"}, {"HTTP_X_API_KEY": "b"}, False),
        ("header:X-Api-Key", {}, {"HTTP_X_API_KEY": ""}, True),
        ("header:X-Api-Key", {"HTTP_X_API_KEY": "192.0.2.7"}, {}, False),
        ("cookie:id", {"HTTP_COOKIE": "a=1; id=7"}, {"HTTP_COOKIE": "id=7"}, True),
        ("cookie:id", {"HTTP_COOKIE": "id=7"}, {"HTTP_COOKIE": "id=8"}, False),
        ("cookie:id", {"HTTP_COOKIE": "other=7"}, {}, True),
        ("path", {"path": "/a"}, {"path": "/b"}, False),
        ("path", {"path": "/a", "REMOTE_ADDR": "192.0.2.1"}, {"path": "/a"}, True),
        ("address,path", {"path": "/a"}, {"path": "/b"}, False),
        ("address,path", {"path": "/a"}, {"path": "/a"}, True),
        ("all", {"REMOTE_ADDR": "192.0.2.1"}, {"REMOTE_ADDR": "192.0.2.2"}, True),
    ],
)
def test_what_is_counted_together(
    key: str, first: dict[str, Any], second: dict[str, Any], is_shared: bool
) -> None:
    found = statuses(RateLimit("1/minute", key=key), first, second)
    assert found == [OK, REFUSED if is_shared else OK]


def test_a_function_may_be_the_key_and_leave_requests_out() -> None:
    piece = RateLimit("1/minute", key=lambda environ: environ.get("HTTP_USER"))
    ada = {"HTTP_USER": "ada"}
    assert statuses(piece, ada, ada, {}, {}) == [OK, REFUSED, OK, OK]


def test_only_the_paths_that_are_named_are_limited() -> None:
    piece = RateLimit("1/minute", paths="/login,/api/,/zoé")
    paths = ["/login", "/api/a", "/", "/", "/loginx", "/api", "/login/", "/login", "/zo\xc3\xa9"]
    found = statuses(piece, *[{"path": path} for path in paths])
    assert found == [OK, REFUSED, OK, OK, OK, OK, REFUSED, REFUSED, REFUSED]


def test_a_path_that_is_not_plain_slips_out_of_no_limit() -> None:
    piece = RateLimit("1/minute", except_paths="/public")
    paths = ["/public/a", "/public/../login", "/public//../login", "/public/\\..\\login"]
    assert statuses(piece, *[{"path": path} for path in paths]) == [OK, OK, REFUSED, REFUSED]


def test_each_wrapped_application_has_counts_of_its_own() -> None:
    piece = RateLimit("1/minute")
    assert statuses(piece, {}) == statuses(piece, {}) == [OK]


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({}, "limit is needed"),
        ({"limit": "100"}, "limit must be limits such as"),
        ({"limit": "0/minute"}, "is no limit"),
        ({"limit": "10/minute; nonsense"}, "limit must be"),
        ({"limit": "1/minute", "key": "header:"}, "key must be"),
        ({"limit": "1/minute", "window": "sliding"}, "moving, fixed"),
        ({"limit": "1/minute", "paths": "login"}, "paths must be"),
    ],
)
def test_a_wrong_setting_says_what_is_allowed(settings: dict[str, str], part: str) -> None:
    with pytest.raises(SettingError, match=part):
        RateLimit(**settings)


def test_an_error_about_the_store_does_not_show_its_password() -> None:
    with pytest.raises(SettingError, match="store must be memory://") as raised:
        RateLimit("1/minute", store="postgres://ada:secret@db")
    assert "secret" not in str(raised.value)
    assert "secret" not in repr(RateLimit("1/minute", store="redis://:secret@127.0.0.1:1/0"))
