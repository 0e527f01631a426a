"""warm_up.py: each path is asked for as a client would, and only 2xx and 3xx make a worker ready."""

from __future__ import annotations

from typing import Any

import pytest

from barkeep.errors import WarmUpError
from barkeep.settings import Settings
from barkeep.warm_up import warm_up
from tests.apps import answering

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


def warm(application: WSGIApplication, *paths: str, **settings: object) -> None:
    given: dict[str, tuple[object, str]] = {
        name: (value, "test") for name, value in {"warm_up": list(paths), **settings}.items()
    }
    warm_up(application, Settings(given))


def noting(seen: list[dict[str, Any]], status: str = "200 OK") -> WSGIApplication:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        seen.append(environ)
        start_response(status, [])
        return [b"warm"]

    return application


def test_paths_are_asked_for_in_order_with_their_query() -> None:
    seen: list[dict[str, Any]] = []
    warm(noting(seen), "/", "/caf%C3%A9?q=1&r=%20")
    assert [environ["PATH_INFO"] for environ in seen] == ["/", "/caf\u00c3\u00a9"]
    assert [environ["QUERY_STRING"] for environ in seen] == ["", "q=1&r=%20"]
    assert seen[0]["REQUEST_METHOD"] == "GET"
    assert seen[0]["wsgi.input"].read() == b""


def test_mount_path_is_the_script_name() -> None:
    seen: list[dict[str, Any]] = []
    warm(noting(seen), "/shop/health", root_path="/shop")
    assert (seen[0]["SCRIPT_NAME"], seen[0]["PATH_INFO"]) == ("/shop", "/health")


def test_without_a_path_nothing_is_asked() -> None:
    seen: list[dict[str, Any]] = []
    warm(noting(seen))
    assert seen == []


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "302 Found"])
def test_good_answers_make_it_ready(status: str) -> None:
    warm(noting([], status), "/")


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops", "100 Continue", "nonsense"])
def test_other_answers_are_refused(status: str) -> None:
    with pytest.raises(WarmUpError, match=f"must be answered with 2xx or 3xx, found '{status}'"):
        warm(noting([], status), "/")


def test_application_that_raises_is_told_with_its_traceback() -> None:
    def application(_environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
        raise ValueError("no database")

    with pytest.raises(WarmUpError, match="--warm-up /db failed: ValueError: no database") as caught:
        warm(application, "/db")
    assert 'raise ValueError("no database")' in caught.value.traceback_text


def test_error_in_the_middle_of_the_body_counts_and_the_body_is_closed() -> None:
    closed: list[bool] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"begun"
            raise OSError("cut")

        def close(self) -> None:
            closed.append(True)

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        return Body()

    with pytest.raises(WarmUpError, match="OSError: cut"):
        warm(application, "/")
    assert closed == [True]


def test_application_that_never_starts_a_response_is_refused() -> None:
    def application(_environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
        return [b"x"]

    with pytest.raises(WarmUpError, match="found 'no answer'"):
        warm(application, "/")


def test_write_callable_is_there() -> None:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])(b"written")
        return []

    warm(application, "/")


def test_answer_of_the_test_applications_is_good() -> None:
    warm(answering(b"hello"), "/")
