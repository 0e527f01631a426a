"""Throttle: slots are held while the application works, and bodies go at their rate without a real clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from wsgiref.util import FileWrapper

import pytest

from barkeep.errors import SettingError
from barkeep.middleware.pacing import ClientPaces, Pace
from barkeep.middleware.throttle import Throttle
from tests.apps import answering, streaming
from tests.middleware_cases import Tracked, call, check_both_sides, each_case, make_environ

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from tests.middleware_cases import Case

REFUSED = "503 Service Unavailable"


class FakeTime:
    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now_s

    def sleep(self, time_s: float) -> None:
        self.slept.append(round(time_s, 6))
        self.now_s += time_s


@pytest.fixture
def fake_time(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    fake = FakeTime()
    monkeypatch.setattr(Throttle, "clock", fake.clock)
    monkeypatch.setattr(Throttle, "sleep", fake.sleep)
    return fake


def start(application: WSGIApplication, **environ: Any) -> tuple[str, Any]:
    """Call it and keep its answer open: (status, iterable)."""
    statuses: list[str] = []

    def start_response(status: str, _headers: object, _exc_info: object = None) -> Any:
        statuses.append(status)

    iterable = application(make_environ(**environ), start_response)
    return statuses[0] if statuses else "", iterable


@each_case
@pytest.mark.parametrize(
    "settings", [{"concurrency": 1}, {"rate": "1GiB"}, {"concurrency": 1, "rate": "1GiB"}]
)
def test_every_form_of_answer_passes_through(case: Case, settings: dict[str, Any]) -> None:
    piece = Throttle(**settings, queue=0)
    check_both_sides(piece, case)


@each_case
def test_the_slot_is_free_again_after_every_form_of_answer(case: Case) -> None:
    inner, _tracked = case.make()
    is_over = False

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return answering(b"")(environ, start_response) if is_over else inner(environ, start_response)

    throttled = Throttle(1, queue=0)(application)
    call(throttled, make_environ(method=case.method), case.take_chunks)
    is_over = True
    assert call(throttled).status == "200 OK"


def test_a_slot_is_held_until_the_answer_is_closed() -> None:
    application = Throttle(1, queue=0)(streaming(b"a", b"b"))
    _, first = start(application)
    refused, _ = start(application)
    assert refused == REFUSED
    next(iter(first))
    first.close()
    assert call(application).status == "200 OK"


def test_a_file_from_the_wrapper_stays_one_and_gives_its_slot_back_when_it_is_closed() -> None:
    file = Tracked([])
    file.read = lambda _size=-1: b""  # type: ignore[attr-defined]

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](file)
        return wrapped

    throttled = Throttle(1, queue=0)(application)
    _, first = start(throttled)
    assert type(first) is FileWrapper
    assert start(throttled)[0] == REFUSED
    first.close()
    assert file.close_count == 1
    assert start(throttled)[0] == "200 OK"


def test_a_refusal_says_when_to_come_back() -> None:
    application = Throttle(1, queue=0, wait=7)(streaming(b"a"))
    _, held = start(application)
    answer = call(application)
    assert answer.status == REFUSED
    assert answer.field("Retry-After") == "7"
    held.close()


def test_who_waits_too_long_is_refused() -> None:
    application = Throttle(1, queue=1, wait=0.01)(streaming(b"a"))
    _, held = start(application)
    assert call(application).status == REFUSED
    held.close()


@pytest.mark.parametrize(
    ("key", "second", "is_shared"),
    [
        ("all", {"path": "/b", "REMOTE_ADDR": "192.0.2.9"}, True),
        ("path", {"path": "/b"}, False),
        ("path", {"path": "/a", "REMOTE_ADDR": "192.0.2.9"}, True),
        ("address", {"REMOTE_ADDR": "192.0.2.9"}, False),
        ("address", {}, True),
        ("address,path", {"path": "/b"}, False),
    ],
)
def test_what_shares_the_slots(key: str, second: dict[str, Any], is_shared: bool) -> None:
    application = Throttle(1, queue=0, key=key)(streaming(b"x"))
    _, held = start(application, path="/a")
    assert (start(application, **second)[0] == REFUSED) == is_shared
    held.close()


def test_paths_that_are_excepted_take_no_slot() -> None:
    application = Throttle(1, queue=0, except_paths="/health")(streaming(b"x"))
    _, held = start(application)
    assert call(application, make_environ("/health")).status == "200 OK"
    held.close()


def test_a_body_goes_at_its_rate_in_pieces(fake_time: FakeTime) -> None:
    answer = call(Throttle(rate=10240)(answering(b"a" * 5120)))
    assert [len(chunk) for chunk in answer.chunks] == [1024] * 5
    assert fake_time.slept == [0.1] * 4


def test_chunks_of_a_stream_are_not_joined_and_empty_ones_pass(fake_time: FakeTime) -> None:
    answer = call(Throttle(rate=10240)(streaming(b"a" * 512, b"", b"b" * 512, b"c" * 1536)))
    assert [len(chunk) for chunk in answer.chunks] == [512, 0, 512, 1024, 512]
    assert sum(fake_time.slept) == pytest.approx(0.2)


def test_time_that_the_application_takes_counts(fake_time: FakeTime) -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"a" * 1024
        fake_time.now_s += 10
        yield b"a" * 1024

    call(Throttle(rate=10240)(application))
    assert fake_time.slept == []


def test_write_goes_at_the_rate_too(fake_time: FakeTime) -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])(b"a" * 2048)
        return [b"b" * 1024]

    answer = call(Throttle(rate=10240)(application))
    assert answer.body == b"a" * 2048 + b"b" * 1024
    assert fake_time.slept == [0.1, 0.1]


def test_a_small_list_stays_a_list(fake_time: FakeTime) -> None:
    status, body = start(Throttle(rate=10240)(answering(b"hello")))
    assert (status, body) == ("200 OK", [b"hello"])
    assert fake_time.slept == []


def test_answers_to_one_client_share_its_rate_when_asked_to(fake_time: FakeTime) -> None:
    application = Throttle(rate=10240, rate_per="client")(answering(b"a" * 1024))
    for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2"):
        call(application, make_environ(REMOTE_ADDR=address))
    assert fake_time.slept == [0.1]


def test_a_bounded_number_of_clients_is_remembered(fake_time: FakeTime) -> None:
    paces = ClientPaces(lambda: Pace(1024, fake_time.clock, fake_time.sleep), max_clients=3)
    first = paces.of("first")
    for number in range(10):
        paces.of(str(number))
        assert paces.of("first") is first
    assert len(paces) == 3


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({}, "nothing to throttle"),
        ({"concurrency": 0}, "concurrency must be a whole number from 1"),
        ({"rate": "1"}, "rate must be a size"),
        ({"rate": "1MiB", "rate_per": "path"}, "response, client"),
    ],
)
def test_a_wrong_setting_says_what_is_allowed(settings: dict[str, Any], part: str) -> None:
    with pytest.raises(SettingError, match=part):
        Throttle(**settings)
