"""What every middleware promises, tried on each: lint is silent on both sides, and threads may share it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from barkeep.lint import Lint, drive_middleware
from barkeep.middleware.registry import NAMES
from tests.middleware_cases import Case, call, decoded, each_case, make_environ
from tests.middleware_pieces import PIECES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

    from barkeep.middleware.registry import Piece

THREADS, REQUESTS = 8, 25


def test_the_table_has_every_middleware() -> None:
    assert {name.partition(" ")[0] for name in PIECES} == set(NAMES)


@pytest.mark.parametrize("name", sorted(PIECES))
def test_lint_finds_nothing_on_either_side(name: str) -> None:
    assert [str(finding) for finding in drive_middleware(PIECES[name]()).findings] == []


def codes(case: Case, *pieces: Piece) -> set[str]:
    """What lint finds while a case is played, with a lint around the application and around each piece."""
    found: set[str] = set()
    application, _tracked = case.make()
    for piece in (lambda inner: inner, *pieces):
        application = Lint(piece(application), report=lambda finding: found.add(finding.code))
    environ = make_environ(
        method=case.method, HTTP_HOST="a.example", HTTP_ORIGIN="https://a.example", HTTP_ACCEPT_ENCODING="br"
    )
    environ["wsgi.url_scheme"] = "https"
    call(application, environ, case.take_chunks)
    return found


@each_case
@pytest.mark.parametrize("name", sorted(PIECES))
def test_lint_finds_no_more_with_it_than_without(name: str, case: Case) -> None:
    """Some cases break rules themselves: they fail, or use write()."""
    assert codes(case, PIECES[name]()) <= codes(case)


@pytest.mark.parametrize("name", sorted(name for name in PIECES if name != "throttle"))
def test_threads_that_share_a_wrapper_get_their_own_answers(name: str) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        text = environ["PATH_INFO"].encode()
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Path", environ["PATH_INFO"])])
        yield text
        yield text * 100

    shared = PIECES[name]()(application)
    together = threading.Barrier(THREADS)
    wrong: list[str] = []

    def ask(thread: int) -> None:
        together.wait()
        for number in range(REQUESTS):
            path = f"/{thread}-{number}"
            environ = make_environ(path, HTTP_HOST="a.example", HTTP_ACCEPT_ENCODING="gzip")
            environ["wsgi.url_scheme"] = "https"
            answer = call(shared, environ)
            if (answer.field("X-Path"), decoded(answer)) != (path, path.encode() * 101):
                wrong.append(path)

    threads = [threading.Thread(target=ask, args=(thread,)) for thread in range(THREADS)]
    for started in threads:
        started.start()
    for started in threads:
        started.join()
    assert wrong == []
