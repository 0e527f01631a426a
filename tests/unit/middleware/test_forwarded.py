"""Forwarded believes trusted proxies only, and only the fields it is told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from wsgiref.util import application_uri

import pytest

from barkeep.errors import SettingError
from barkeep.middleware.forwarded import Forwarded
from tests.middleware_cases import call, check_both_sides, each_case, make_environ

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.middleware_cases import Case

PROXY, OUTER_PROXY, CLIENT = "10.0.0.1", "10.0.0.2", "203.0.113.9"
ALL = "x-forwarded-for,x-forwarded-proto,x-forwarded-host,x-forwarded-port,x-forwarded-prefix"


def seen(piece: Forwarded, **environ: Any) -> WSGIEnvironment:
    """The environ that the application gets for a request of this peer with these fields."""
    found: WSGIEnvironment = {}

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        found.update(environ)
        start_response("204 No Content", [])
        return []

    answer = call(piece(application), make_environ(**{"REMOTE_ADDR": PROXY, **environ}))
    assert answer.error is None
    return found


def for_list(value: str, trusted: str = "10.0.0.0/8") -> str:
    found: str = seen(Forwarded(trusted), HTTP_X_FORWARDED_FOR=value)["REMOTE_ADDR"]
    return found


def by_standard(value: str, **environ: str) -> WSGIEnvironment:
    return seen(Forwarded("10.0.0.0/8", believe="forwarded"), HTTP_FORWARDED=value, **environ)


@each_case
def test_every_form_of_answer_passes_through(case: Case) -> None:
    check_both_sides(Forwarded(), case, HTTP_X_FORWARDED_FOR="192.0.2.1")


def test_an_untrusted_peer_is_the_client_whatever_it_writes() -> None:
    environ = seen(
        Forwarded("10.0.0.0/8", believe=ALL),
        REMOTE_ADDR="198.51.100.4",
        HTTP_X_FORWARDED_FOR="127.0.0.1",
        HTTP_X_FORWARDED_PROTO="https",
        HTTP_X_FORWARDED_HOST="evil.example",
        HTTP_X_REAL_IP="127.0.0.1",
        HTTP_FORWARDED="for=127.0.0.1",
    )
    assert environ["REMOTE_ADDR"] == "198.51.100.4"
    assert environ["wsgi.url_scheme"] == "http"
    assert "evil.example" not in environ["HTTP_HOST"]
    assert [key for key in environ if "FORWARDED" in key or "REAL_IP" in key] == []


def test_what_was_taken_away_stands_under_its_key_of_ours() -> None:
    environ = seen(Forwarded(PROXY), HTTP_X_FORWARDED_FOR=CLIENT, HTTP_X_REAL_IP="1.2.3.4")
    original = environ["barkeep.forwarded.original"]
    assert original["REMOTE_ADDR"] == PROXY
    assert original["HTTP_X_FORWARDED_FOR"] == CLIENT
    assert original["HTTP_X_REAL_IP"] == "1.2.3.4"
    assert "HTTP_X_FORWARDED_FOR" not in environ


def test_a_request_without_such_fields_is_left_alone() -> None:
    environ = seen(Forwarded(PROXY))
    assert environ["REMOTE_ADDR"] == PROXY
    assert "barkeep.forwarded.original" not in environ


@pytest.mark.parametrize(
    ("value", "client"),
    [
        (CLIENT, CLIENT),
        (f"1.1.1.1, {CLIENT}", CLIENT),
        (f"127.0.0.1, {CLIENT}, {OUTER_PROXY}", CLIENT),
        (f" {CLIENT}\t, {OUTER_PROXY} ", CLIENT),
        ("10.0.0.7, 10.0.0.8", "10.0.0.7"),
        ("2001:db8::9", "2001:db8::9"),
        ("[2001:db8::9]:4711", "2001:db8::9"),
        ("2001:0DB8:0::9", "2001:db8::9"),
        (f"::ffff:{CLIENT}", CLIENT),
        (f"{CLIENT}:4711", CLIENT),
        (f"{CLIENT}, ::ffff:10.0.0.2", CLIENT),
    ],
)
def test_the_client_is_the_first_from_the_right_that_is_no_trusted_proxy(value: str, client: str) -> None:
    assert for_list(value) == client


@pytest.mark.parametrize(
    "value",
    [
        "unknown",
        f"{CLIENT},",
        f"{CLIENT}, unknown, {OUTER_PROXY}",
        "1.2.3",
        "[::1",
        "fe80::1%eth0",
        "1.2.3.4:x",
    ],
)
def test_a_client_that_the_proxies_do_not_know_gets_no_address_and_never_that_of_a_proxy(value: str) -> None:
    assert for_list(value) == ""


def test_a_chain_is_followed_for_a_bounded_number_of_hops() -> None:
    assert for_list(", ".join(["127.0.0.1", *["10.0.0.3"] * 100])) == "10.0.0.3"


def test_peers_of_a_unix_socket_are_trusted_by_default_as_loopback_is() -> None:
    for peer in ("", "127.0.0.1", "::1", "::ffff:127.0.0.1"):
        environ = seen(Forwarded(), REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR=CLIENT)
        assert environ["REMOTE_ADDR"] == CLIENT
    assert seen(Forwarded(PROXY), REMOTE_ADDR="", HTTP_X_FORWARDED_FOR=CLIENT)["REMOTE_ADDR"] == ""


def test_only_fields_that_are_believed_change_anything() -> None:
    fields = {"HTTP_X_FORWARDED_HOST": "evil.example", "HTTP_X_FORWARDED_PREFIX": "/evil"}
    environ = seen(Forwarded(PROXY), HTTP_X_FORWARDED_PROTO="https", **fields)
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["HTTP_HOST"] == "127.0.0.1"
    assert environ["SCRIPT_NAME"] == ""
    assert not fields.keys() & environ.keys()


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"PROTO": "https"}, "https://127.0.0.1/"),
        ({"PROTO": "HTTPS", "HOST": "shop.example"}, "https://shop.example/"),
        ({"HOST": "shop.example:8443", "PROTO": "https"}, "https://shop.example:8443/"),
        ({"HOST": "shop.example", "PROTO": "https", "PORT": "8443"}, "https://shop.example:8443/"),
        ({"HOST": "shop.example:8443", "PROTO": "https", "PORT": "443"}, "https://shop.example/"),
        ({"HOST": "[2001:db8::1]:81"}, "http://[2001:db8::1]:81/"),
        ({"PORT": "8080"}, "http://127.0.0.1:8080/"),
        ({"HOST": "evil.example, shop.example"}, "http://shop.example/"),
        ({"PREFIX": "/shop/"}, "http://127.0.0.1/shop"),
        ({"PREFIX": "/a%20b"}, "http://127.0.0.1/a%20b"),
    ],
)
def test_the_url_is_the_one_the_client_used(fields: dict[str, str], url: str) -> None:
    named = {f"HTTP_X_FORWARDED_{name}": value for name, value in fields.items()}
    environ = seen(Forwarded(PROXY, believe=ALL), **named)
    assert application_uri(environ) == url
    assert environ["SERVER_PORT"].isdigit()


@pytest.mark.parametrize(
    "fields",
    [
        {"PROTO": "javascript"},
        {"PROTO": ""},
        {"HOST": "a/b"},
        {"HOST": "a:b"},
        {"HOST": "a:99999"},
        {"HOST": "user@a"},
        {"PORT": "0"},
        {"PORT": "+1"},
        {"PORT": "70000"},
        {"PREFIX": "//evil.example"},
        {"PREFIX": "/a/../b"},
        {"PREFIX": "shop"},
        {"PREFIX": "/a?b"},
        {"PREFIX": "/%2e%2e"},
        {"PREFIX": "/a%0d%0ab"},
    ],
)
def test_a_malformed_value_is_as_if_it_had_not_been_sent(fields: dict[str, str]) -> None:
    named = {f"HTTP_X_FORWARDED_{name}": value for name, value in fields.items()}
    assert application_uri(seen(Forwarded(PROXY, believe=ALL), **named)) == "http://127.0.0.1/"


def test_a_prefix_stands_before_the_script_name_that_is_there() -> None:
    piece = Forwarded(PROXY, believe="x-forwarded-prefix")
    assert seen(piece, SCRIPT_NAME="/app", HTTP_X_FORWARDED_PREFIX="/site")["SCRIPT_NAME"] == "/site/app"


@pytest.mark.parametrize(
    ("value", "client"),
    [
        (f"for={CLIENT}", CLIENT),
        (f'For="{CLIENT}:4711";Proto=https', CLIENT),
        ('for="[2001:db8::9]:4711"', "2001:db8::9"),
        (f"for=127.0.0.1, for={CLIENT};by=10.0.0.2, for={OUTER_PROXY}", CLIENT),
        (f'for="127.0.0.1, for={CLIENT}', CLIENT),
        (f'by="x;, for={CLIENT};host="shop.example"', CLIENT),
        (f'for={CLIENT};by="a, b"', CLIENT),
        ("for=unknown", ""),
        ("for=_hidden", ""),
        (f"for={CLIENT};for=10.0.0.1", ""),
        (f"for={CLIENT} ;proto=https", ""),
        ("proto=https", ""),
        ("", ""),
    ],
)
def test_the_client_by_rfc_7239(value: str, client: str) -> None:
    assert by_standard(value)["REMOTE_ADDR"] == client


def test_port_of_the_client_is_set_when_it_is_told_and_emptied_when_not() -> None:
    assert by_standard(f'for="{CLIENT}:4711"', REMOTE_PORT="9")["REMOTE_PORT"] == "4711"
    assert by_standard(f'for="{CLIENT}:_x"', REMOTE_PORT="9")["REMOTE_PORT"] == ""


def test_the_outermost_trusted_proxy_has_the_last_word_about_the_url() -> None:
    environ = by_standard(
        f"for=1.1.1.1;host=evil.example, for={CLIENT};host=shop.example;proto=https, "
        f"for={OUTER_PROXY};proto=http"
    )
    assert application_uri(environ) == "https://shop.example/"
    assert environ["HTTPS"] == "on"


def test_fields_to_guard_pass_from_trusted_proxies_only() -> None:
    piece = Forwarded(PROXY, also_remove="x-forwarded-user")
    assert seen(piece, HTTP_X_FORWARDED_USER="ada")["HTTP_X_FORWARDED_USER"] == "ada"
    stranger = seen(piece, REMOTE_ADDR=CLIENT, HTTP_X_FORWARDED_USER="ada")
    assert "HTTP_X_FORWARDED_USER" not in stranger


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"trusted": "10.0.0.1/8"}, "host bits"),
        ({"trusted": "proxy.example"}, "trusted must be networks"),
        ({"believe": "forwarded,x-forwarded-for"}, "must not mix"),
        ({"believe": "x-real-ip"}, "believe must be some of"),
        ({"also_remove": "a b"}, "also_remove must be names"),
    ],
)
def test_a_wrong_setting_says_what_is_allowed(settings: dict[str, str], part: str) -> None:
    with pytest.raises(SettingError, match=part):
        Forwarded(**settings)
