"""examples/whole_stack with plain HTTP clients: each middleware of its barkeep.toml does what it is for."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from http.client import HTTPConnection

import httpcore
import pytest

from barkeep.middleware.registry import NAMES
from tests.behaviour.clients import WAIT_S
from tests.behaviour.processes import clean_environ
from tests.whole_stack import EXAMPLE, WholeStack, whole_stack


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeStack]:
    with whole_stack(tmp_path_factory.mktemp("whole_stack")) as running:
        yield running


@pytest.fixture(scope="module")
def client() -> Iterator[httpcore.ConnectionPool]:
    with httpcore.ConnectionPool() as pool:
        yield pool


class Asks:
    """The shop, asked by a client that keeps its connections."""

    def __init__(self, site: WholeStack, client: httpcore.ConnectionPool) -> None:
        self._url = f"http://{site.shop}"
        self._client = client

    def __call__(
        self,
        path: str,
        method: str = "GET",
        content: bytes | Iterator[bytes] | None = None,
        *,
        by_https: bool = False,
        **fields: str,
    ) -> Got:
        headers: list[tuple[bytes | str, bytes | str]] = [
            (name.replace("_", "-"), value) for name, value in fields.items()
        ]
        # What the proxy that ends TLS would tell; it would be on this machine, which barkeep.toml trusts.
        headers += [("X-Forwarded-Proto", "https")] if by_https else []
        # Each wait of its own, in seconds: a server that says nothing fails the test.
        waits = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), WAIT_S)}
        answer = self._client.request(
            method, self._url + path, headers=headers, content=content, extensions=waits
        )
        return Got(answer)


class Got:
    """A whole answer. Names of fields in lower case."""

    def __init__(self, response: httpcore.Response) -> None:
        self.status = response.status
        self.fields = {name.decode().lower(): value.decode() for name, value in response.headers}
        self.body = response.content


@pytest.fixture
def ask(site: WholeStack, client: httpcore.ConnectionPool) -> Asks:
    return Asks(site, client)


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def test_the_settings_name_every_middleware_in_a_good_order(site: WholeStack) -> None:
    named = re.findall(r'^name = "(\w+)"$', (EXAMPLE / "barkeep.toml").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(NAMES)
    words = [sys.executable, "-m", "barkeep", "check", "shop:app"]
    checked = subprocess.run(
        words, cwd=site.directory, env=clean_environ(), check=True, capture_output=True, text=True
    )
    assert "warning" not in checked.stdout + checked.stderr
    printed = re.findall(r"^  (\w+)\(", checked.stdout.partition("outermost first:\n")[2], re.MULTILINE)
    assert [name.lower() for name in printed] == named


@pytest.mark.parametrize(
    ("target", "paths"),
    [
        ("shop:app", ["/api/drinks", "/api/orders", "/api/pour?drops=5"]),
        ("labels:application", ["/x.svg"]),
        ("warehouse:application", ["/", "/stock/x"]),
    ],
)
def test_barkeep_lint_finds_nothing_in_its_applications(
    site: WholeStack, target: str, paths: list[str]
) -> None:
    words = [sys.executable, "-m", "barkeep", "lint", target, "--fail-on", "advice"]
    words += [word for path in paths for word in ("--path", path)]
    linted = subprocess.run(words, cwd=site.directory, env=clean_environ(), capture_output=True, text=True)
    assert (linted.returncode, linted.stdout.partition(" in ")[0]) == (0, f"{target}: no findings")


def test_each_answer_has_an_id_that_the_log_has_too(site: WholeStack, ask: Asks) -> None:
    got = ask("/api/orders?id", X_Request_ID="visit-17")
    assert got.fields["x-request-id"] == "visit-17"
    assert got.fields["server-timing"].startswith("app;dur=")
    line = site.wait_for_access("/api/orders?id", 200)
    assert (line["request_id"], line["client"]) == ("visit-17", "127.0.0.1")


def test_the_client_is_the_one_that_the_proxy_names(site: WholeStack, ask: Asks) -> None:
    ask("/api/orders?client", X_Forwarded_For="198.51.100.1, 203.0.113.9")
    assert site.wait_for_access("/api/orders?client", 200)["client"] == "203.0.113.9"


def test_another_host_is_refused(ask: Asks) -> None:
    assert ask("/shop/", Host="evil.example").status == 400


def test_passwords_are_asked_for_by_https_only(ask: Asks) -> None:
    moved = ask("/members/", Host="localhost:8000")
    assert (moved.status, moved.fields["location"]) == (308, "https://localhost/members/")
    asked = ask("/members/", by_https=True)
    assert (asked.status, asked.fields["www-authenticate"]) == (401, 'Basic realm="Members", charset="UTF-8"')
    assert asked.fields["strict-transport-security"] == "max-age=31536000"
    assert ask("/members/", by_https=True, Authorization=basic("ada", "babbage")).status == 401
    assert (
        ask("/members/", by_https=True, Authorization=basic("ada", "lovelace")).body
        == b"Good evening, ada.\n"
    )


def test_partners_come_with_a_token(site: WholeStack, ask: Asks) -> None:
    assert ask("/partners/prices", by_https=True).fields["www-authenticate"] == 'Bearer realm="Restricted"'
    token = site.token("distillery")
    assert ask("/partners/prices", by_https=True, Authorization=f"Bearer {token[:-2]}").status == 401
    got = ask("/partners/prices", by_https=True, Authorization=f"Bearer {token}")
    assert json.loads(got.body)["partner"] == "distillery"


def test_pages_come_with_the_fields_that_protect_them(ask: Asks) -> None:
    got = ask("/shop/")
    assert got.fields["content-security-policy"].startswith("default-src 'self'; ")
    assert got.fields["x-content-type-options"] == "nosniff"
    assert got.fields["x-frame-options"] == "SAMEORIGIN"
    assert "strict-transport-security" not in got.fields


def test_labels_are_made_by_another_application_within_a_limit(ask: Asks) -> None:
    got = ask("/labels/Rosebank%201990.svg")
    assert b"Rosebank 1990" in got.body
    assert ask("/labels/x.png").body == b"/labels has only .svg\n"
    statuses = [ask("/labels/more.svg").status for _request in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert 0 < int(ask("/labels/more.svg").fields["retry-after"]) <= 60
    # Whom the proxy in front names has a limit of its own.
    assert ask("/labels/more.svg", X_Forwarded_For="203.0.113.77").status == 200


def test_the_third_pour_at_once_is_asked_to_come_back(site: WholeStack, ask: Asks) -> None:
    host, port = site.shop.split(":")
    pours = [HTTPConnection(host, int(port), timeout=30) for _pour in range(2)]
    for pour in pours:
        # More than all buffers on the way hold, so that it goes on until we read it or go away.
        pour.request("GET", "/api/pour?drops=100000000")
        assert pour.getresponse().readline() == b'{"drop": 0, "of": 100000000}\n'
    refused = ask("/api/pour")
    assert (refused.status, refused.fields["retry-after"].isdigit()) == (503, True)
    for pour in pours:
        pour.close()
    for _pour in pours:
        site.wait_for_access("/api/pour?drops=100000000", 200)
    assert ask("/api/pour").status == 200


def test_a_stream_is_compressed_line_by_line(ask: Asks) -> None:
    got = ask("/api/pour?drops=100", Accept_Encoding="gzip")
    assert got.fields["content-encoding"] == "gzip"
    assert len(gzip.decompress(got.body).splitlines()) == 100


def test_a_body_above_the_limit_is_refused_before_the_application_sees_it(ask: Asks) -> None:
    json_type = "application/json"
    assert ask("/api/orders", "POST", b'{"drink": 1}', Content_Type=json_type).status == 200
    assert ask("/api/orders", "POST", b'{"drink": 99}', Content_Type=json_type).status == 400
    assert ask("/api/orders", "POST", b'{"drink": "' + b"x" * 5000, Content_Type=json_type).status == 413


def test_the_upstream_gets_a_stream_and_gives_it_back(ask: Asks) -> None:
    piece = bytes(range(256)) * 256
    got = ask("/stock/echo", "POST", (piece for _number in range(100)))
    assert (got.status, got.body) == (200, piece * 100)
    assert ask("/stock/echo", "POST", piece * 3).body == piece * 3
    assert got.fields["via"].startswith("1.1 ")
    told = ask("/stock/a%2Fb?c", X_Forwarded_For="203.0.113.9").body
    assert told.endswith(b" for 203.0.113.9\n")


def test_a_file_is_sent_whole_in_part_and_not_at_all(site: WholeStack, ask: Asks) -> None:
    content = (site.directory / "made" / "shop" / "tasting.webm").read_bytes()
    whole = ask("/shop/tasting.webm")
    assert whole.body == content
    part = ask("/shop/tasting.webm", Range="bytes=1000-1999", Accept_Encoding="gzip")
    assert (part.status, part.body) == (206, content[1000:2000])
    assert ask("/shop/tasting.webm", Range="bytes=-5").body == content[-5:]
    assert ask("/shop/tasting.webm", If_None_Match=whole.fields["etag"]).status == 304
    assert ask("/shop/tasting.webm", Range=f"bytes={len(content)}-").status == 416


@pytest.mark.parametrize("path", ["/shop/../users", "/shop/%2e%2e/users", "/shop/..%2fkeys.json"])
def test_what_stands_beside_the_files_is_not_reached(ask: Asks, path: str) -> None:
    # A path that is not plain is what every guard looks at; this client has its limit to itself.
    got = ask(path, X_Forwarded_For="203.0.113.5", by_https=True)
    assert (got.status, got.fields["www-authenticate"].partition(" ")[0]) == (401, "Basic")
