"""SecurityHeaders: what is added, when, and that the application's own word counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from barkeep.errors import SettingError
from barkeep.middleware.security_headers import SecurityHeaders
from tests.apps import answering
from tests.middleware_cases import Case, call, check_both_sides, each_case, make_environ

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment


@each_case
def test_is_valid_on_both_sides(case: Case) -> None:
    check_both_sides(SecurityHeaders(csp="script-src 'nonce-{nonce}'", hsts="1h"), case)


def test_careful_fields_are_there_by_default() -> None:
    answer = call(SecurityHeaders()(answering(b"")))
    assert answer.headers[1:] == [
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "SAMEORIGIN"),
        ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ]


def test_all_can_be_off() -> None:
    piece = SecurityHeaders(nosniff=False, frame="off", referrer="off")
    assert call(piece(answering(b""))).headers == [("Content-Type", "text/plain")]


def test_field_of_the_application_stays() -> None:
    application = answering(b"", fields=[("x-frame-options", "DENY")])
    assert call(SecurityHeaders()(application)).field("X-Frame-Options") == "DENY"


def test_hsts_is_sent_over_https_only() -> None:
    piece = SecurityHeaders(hsts="8760h", hsts_subdomains=True, hsts_preload=True)
    name = "Strict-Transport-Security"
    assert call(piece(answering(b""))).field(name) is None
    secure = {**make_environ(), "wsgi.url_scheme": "https"}
    assert call(piece(answering(b"")), secure).field(name) == "max-age=31536000; includeSubDomains; preload"


def test_preload_without_what_it_needs_is_an_error() -> None:
    with pytest.raises(SettingError, match="SecurityHeaders: hsts_preload needs hsts of a year"):
        SecurityHeaders(hsts="1h", hsts_subdomains=True, hsts_preload=True)


def test_nonce_is_fresh_for_each_request_and_told_to_the_application() -> None:
    seen = []

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        seen.append(environ["barkeep.csp_nonce"])
        start_response("200 OK", [])
        return []

    piece = SecurityHeaders(csp="script-src 'nonce-{nonce}'", csp_report_only="img-src 'self'")
    answers = [call(piece(application)) for _ in range(2)]
    assert [answer.field("Content-Security-Policy") for answer in answers] == [
        f"script-src 'nonce-{nonce}'" for nonce in seen
    ]
    assert seen[0] != seen[1]
    assert len(seen[0]) == 22
    assert answers[0].field("Content-Security-Policy-Report-Only") == "img-src 'self'"
