"""The middlewares that guard and pass on, under real servers: Barkeep, wsgiref, waitress and gunicorn."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

import barkeep
from tests.apps import echo
from tests.behaviour.guarded_site import AUDIENCE, KEYS, UPSTREAM
from tests.behaviour.wsgi_servers import SERVERS, Got

SITE = "tests.behaviour.guarded_site:application"


@pytest.fixture(scope="module")
def upstream_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where an upstream listens that echoes."""
    path = tmp_path_factory.mktemp("upstream") / "echo.sock"
    with barkeep.Server(echo, bind=f"unix:{path}"):
        yield path


@pytest.fixture(scope="module", params=sorted(SERVERS))
def port(request: pytest.FixtureRequest, upstream_socket: Path) -> Iterator[int]:
    """Where one of the servers listens, with the upstream mounted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(UPSTREAM, f"unix:{upstream_socket}:/base")
        with SERVERS[request.param](SITE) as port:
            yield port


def environ_of(got: Got) -> dict[str, Any]:
    assert got.status == 200
    found: dict[str, Any] = json.loads(got.body)["environ"]
    return found


def test_the_client_is_the_one_the_proxy_tells(port: int) -> None:
    environ = environ_of(Got(port, "/", X_Forwarded_For="1.1.1.1, 203.0.113.9", X_Forwarded_Proto="https"))
    assert environ["REMOTE_ADDR"] == "203.0.113.9"
    assert environ["wsgi.url_scheme"] == "https"
    assert "HTTP_X_FORWARDED_FOR" not in environ


def test_http_is_sent_to_https(port: int) -> None:
    got = Got(port, "/a%20b?c", Host="guarded.example", X_Forwarded_Proto="http")
    assert (got.status, got.headers["Location"]) == (308, "https://guarded.example/a%20b?c")


def test_each_client_has_a_limit_of_its_own(port: int, request: pytest.FixtureRequest) -> None:
    path = f"/limited/{request.node.name}"
    statuses = [Got(port, path, X_Forwarded_For=client).status for client in ("203.0.113.1",) * 3]
    assert statuses == [200, 200, 429]
    assert Got(port, path, X_Forwarded_For="203.0.113.2").status == 200
    assert int(Got(port, path, X_Forwarded_For="203.0.113.1").headers["Retry-After"]) > 3000


def test_a_password_lets_in(port: int) -> None:
    refused = Got(port, "/private/x")
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (
        401,
        'Basic realm="Restricted", charset="UTF-8"',
    )
    credentials = base64.b64encode(b"ada:lovelace").decode()
    environ = environ_of(Got(port, "/private/x", Authorization=f"Basic {credentials}"))
    assert (environ["REMOTE_USER"], environ["AUTH_TYPE"]) == ("ada", "Basic")


def test_a_token_lets_in(port: int) -> None:
    key = jwt.PyJWK(json.loads(KEYS.read_text())["keys"][0])
    claims = {"sub": "ada", "aud": AUDIENCE, "exp": time.time() + 60}
    good = jwt.encode(claims, key, headers={"kid": "test"})
    assert Got(port, "/api/", Authorization=f"Bearer {good}x").status == 401
    assert environ_of(Got(port, "/api/", Authorization=f"Bearer {good}"))["REMOTE_USER"] == "ada"


def test_a_request_goes_to_the_upstream_and_back(port: int) -> None:
    got = Got(port, "/up/a%20b?c", "POST", b"x" * 100_000, Content_Type="text/plain")
    environ = environ_of(got)
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/base/a b", "c")
    assert environ["HTTP_X_FORWARDED_PREFIX"] == "/up"
    assert environ["CONTENT_LENGTH"] == "100000"
    assert json.loads(got.body)["body"] == "x" * 100_000
    assert "1.1 barkeep-" in got.headers["Via"]


def test_an_upstream_that_is_not_there_is_502(port: int) -> None:
    assert Got(port, "/down/").status == 502
