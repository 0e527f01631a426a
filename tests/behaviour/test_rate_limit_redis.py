"""RateLimit with a real Redis: one limit of two server processes, and what holds while the store is away."""

from __future__ import annotations

import io
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from barkeep.middleware import rate_store
from barkeep.middleware.rate_limit import RateLimit
from tests.apps import answering
from tests.behaviour.redis_server import RedisServer
from tests.middleware_cases import call, make_environ

if TYPE_CHECKING:
    from collections.abc import Callable
    from wsgiref.types import WSGIApplication

    from tests.behaviour.kinds import Connect
    from tests.behaviour.processes import ServerProcess

    Run = Callable[..., ServerProcess]

SITE = """
from barkeep.middleware.rate_limit import RateLimit

def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]

application = RateLimit("5/hour", store={url!r}, window={window!r}, store_timeout=10)(hello)
"""


@pytest.fixture
def redis(tmp_path: Path, cleanup: ExitStack) -> RedisServer:
    """A Redis that answers."""
    return cleanup.enter_context(closing(RedisServer(tmp_path)))


def limited(url: str, **settings: object) -> WSGIApplication:
    return RateLimit("2/hour", store=url, **settings)(answering(b"hello"))


def statuses(application: WSGIApplication, count: int, log: io.StringIO | None = None) -> list[str]:
    environ = make_environ()
    environ["wsgi.errors"] = io.StringIO() if log is None else log
    return [call(application, dict(environ)).status[:3] for _ in range(count)]


@pytest.mark.parametrize("window", ["moving", "fixed"])
def test_two_server_processes_share_one_limit(
    redis: RedisServer, run: Run, connect: Connect, tmp_path: Path, window: str
) -> None:
    (tmp_path / "site_app.py").write_text(SITE.format(url=redis.url, window=window))
    servers = [run("site_app:application", "--bind", "127.0.0.1:0") for _ in range(2)]
    clients = [connect(server.address()) for server in servers]
    found = []
    for number in range(7):
        client = clients[number % 2]
        client.get()
        found.append(client.answer())
    assert [answer.status for answer in found] == [200] * 5 + [429] * 2
    retry_s = found[-1].field("retry-after")
    assert retry_s is not None
    assert 3500 < int(retry_s) <= 3600


@pytest.mark.parametrize("window", ["moving", "fixed"])
def test_answers_tell_what_is_left_for_all_together(redis: RedisServer, window: str) -> None:
    first, second = (limited(redis.url, window=window, fields="all") for _ in range(2))
    assert "r=1;" in str(call(first).field("RateLimit"))
    assert "r=0;" in str(call(second).field("RateLimit"))
    assert call(first).status[:3] == "429"


def test_limits_of_other_groups_are_counted_apart(redis: RedisServer) -> None:
    for name in ("login", "search"):
        assert statuses(limited(redis.url, group=name), 3) == ["200", "200", "429"]


def test_without_a_store_requests_are_let_through_and_one_line_says_so(tmp_path: Path) -> None:
    log = io.StringIO()
    application = limited(f"redis+unix://{tmp_path}/nobody.sock")
    assert statuses(application, 20, log) == ["200"] * 20
    assert log.getvalue().count("\n") == 1
    assert log.getvalue().startswith("RateLimit: the store does not answer (ConnectionError: ")
    assert log.getvalue().endswith("Until it does, requests are let through.\n")


def test_without_a_store_requests_are_refused_when_the_setting_says_so(tmp_path: Path) -> None:
    application = limited(f"redis+unix://{tmp_path}/nobody.sock", on_store_failure="closed")
    answer = call(application)
    assert answer.status == "503 Service Unavailable"
    assert answer.field("Retry-After") == "5"


def test_a_store_that_is_silent_delays_one_request_by_the_timeout_and_the_others_not_at_all(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With a timeout of 100 ms, 500 requests that all waited would take longer than the test may.
    monkeypatch.setattr(rate_store, "ASK_AGAIN_S", 3600.0)
    application = limited(redis.url, store_timeout=0.1)
    assert statuses(application, 1) == ["200"]
    redis.fall_silent()
    assert statuses(application, 500) == ["200"] * 500


def test_the_limit_holds_again_when_the_store_does(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_store, "ASK_AGAIN_S", 0.0)
    log = io.StringIO()
    application = limited(redis.url, store_timeout=1)
    assert statuses(application, 2, log) == ["200", "200"]
    redis.fall_silent()
    assert statuses(application, 2, log) == ["200", "200"]
    redis.speak_again()
    assert statuses(application, 2, log) == ["429", "429"]
    assert [line.partition("(")[0] for line in log.getvalue().splitlines()] == [
        "RateLimit: the store does not answer ",
        "RateLimit: the store answers again.",
    ]
