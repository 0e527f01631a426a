"""lint: each broken rule is found by its code, on the user's line, and nothing else changes."""

from __future__ import annotations

import gc
import inspect
import warnings
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

import pytest

from barkeep.errors import ApplicationError
from barkeep.lint import RULES, Lint
from barkeep.testing.environ import make_environ
from barkeep.testing.gateway import MemoryExchange
from tests import broken_applications
from tests.broken_applications import BROKEN, PLAIN, StartsInClose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from barkeep.lint import Finding

CASES = [
    pytest.param(code, application, id=f"{code}-{number}")
    for number, (code, application) in enumerate(BROKEN)
]


def run(application: Any, **more: Any) -> bytes:
    """One POST to its end; errors of the application end it."""
    environ = make_environ("POST", "/", body=b"posted", headers=[PLAIN])
    environ.update(more)
    body = b""
    exchange = None
    try:
        exchange = MemoryExchange(application, environ)
        for chunk in exchange:
            body += chunk
    except (Exception, SystemExit):
        return body
    finally:
        try:
            if exchange is not None:
                exchange.close()
        except Exception:
            body += b""
    return body


def findings_of(application: Any, **more: Any) -> list[Finding]:
    lint = Lint(application, report=lambda _finding: None)
    run(lint, **more)
    gc.collect()
    return lint.findings


def complaint_of_validate(application: Any) -> str:
    """What wsgiref.validate says about it; "" for nothing."""
    environ = make_environ("POST", "/", body=b"posted", headers=[PLAIN])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exchange = None
        try:
            exchange = MemoryExchange(validator(application), environ)
            for _ in exchange:
                pass
        except (Exception, SystemExit) as error:
            frames = inspect.getinnerframes(error.__traceback__) if error.__traceback__ else []
            # An error of the gateway's or of the application itself is not validate's finding.
            return repr(error) if frames[-1].filename.endswith("validate.py") else ""
        finally:
            if exchange is not None:
                try:
                    exchange.close()
                except Exception as error:
                    warnings.simplefilter("ignore")
                    del error
    return ""


@pytest.mark.parametrize(("code", "application"), CASES)
def test_broken_rule_is_found(code: str, application: Any) -> None:
    assert code in [finding.code for finding in findings_of(application)]


@pytest.mark.parametrize(("code", "application"), CASES)
def test_finding_names_a_place_in_the_users_own_file(code: str, application: Any) -> None:
    [finding] = [finding for finding in findings_of(application) if finding.code == code][:1]
    assert finding.place.file == broken_applications.__file__
    assert finding.place.line > 0


@pytest.mark.parametrize(("code", "application"), CASES)
def test_what_validate_finds_lint_finds_too(code: str, application: Any) -> None:
    complaint = complaint_of_validate(application)
    if complaint:
        assert RULES[code].in_validate, complaint


def test_lint_finds_at_least_fifteen_kinds_that_validate_does_not() -> None:
    told = {code for code, application in BROKEN if complaint_of_validate(application)}
    silent = {code for code, _application in BROKEN} - told
    assert len(silent) >= 15, sorted(silent)
    assert [code for code in sorted(silent) if RULES[code].in_validate] == []


def test_every_code_of_the_applications_side_has_a_broken_application() -> None:
    others = {"BK125", "BK205", "BK307"}  # tested below, and in test_driver.py
    assert {code for code in RULES if code[2] in "123"} == {code for code, _ in BROKEN} | others


def test_start_response_after_close_is_found() -> None:
    broken_applications.kept.clear()
    lint = Lint(StartsInClose, report=lambda _finding: None)
    run(lint)
    with pytest.raises(ApplicationError):
        broken_applications.kept[0].run()
    assert [finding.code for finding in lint.findings] == ["BK125"]


def test_input_read_after_close_is_found() -> None:
    kept: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        kept.append(environ["wsgi.input"])
        start_response("200 OK", [PLAIN])
        return []

    lint = Lint(application, report=lambda _finding: None)
    run(lint)
    kept[0].read(1)
    assert [finding.code for finding in lint.findings] == ["BK307"]


def test_place_is_the_line_of_the_yield() -> None:
    def application(_environ: Any, start_response: Any) -> Iterator[Any]:
        start_response("200 OK", [PLAIN])
        yield b"bytes"
        yield "text"

    [finding] = findings_of(application)
    lines, first = inspect.getsourcelines(application)
    assert finding.place.line == first + lines.index('        yield "text"\n')


def test_finding_is_told_once_for_each_place_in_the_servers_log() -> None:
    environ = make_environ()
    lint = Lint(broken_applications.with_head("200 OK", [PLAIN, ("X-Name", "padded ")]))
    for _ in range(3):
        exchange = MemoryExchange(lint, dict(environ))
        list(exchange)
        exchange.close()
    [line] = environ["wsgi.errors"].text.splitlines()
    assert line.startswith("lint: BK113 warning: a header value has white space at its ends")
    assert "broken_applications.py" in line
    assert line.endswith("(GET /)")


def test_a_gateway_passes_on_the_date_of_an_answer() -> None:
    date = ("Date", "Fri, 20 Nov 2026 18:00:00 GMT")
    assert findings_of(broken_applications.with_head("200 OK", [PLAIN, date, ("Via", "1.1 gateway")])) == []


def test_ignored_codes_are_not_told() -> None:
    lint = Lint(broken_applications.never_starts, report=lambda _finding: None, ignore=["BK101"])
    run(lint)
    assert lint.findings == []


def test_unknown_code_to_ignore_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no lint code BK999"):
        Lint(broken_applications.fails, ignore=["BK999"])


def test_len_of_a_list_goes_through() -> None:
    iterable = Lint(broken_applications.with_body(lambda: [b"one"]))(make_environ(), lambda *_: print)
    assert len(iterable) == 1  # type: ignore[arg-type]
    iterable.close()  # type: ignore[attr-defined]


def test_generator_gets_no_len() -> None:
    iterable = Lint(broken_applications.with_body(lambda: (b"one" for _ in "a")))(
        make_environ(), lambda *_: print
    )
    assert not hasattr(iterable, "__len__")
    iterable.close()  # type: ignore[attr-defined]


def test_error_that_the_server_raises_through_write_is_not_the_applications() -> None:
    def application(_environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])(b"lost")
        return []

    def start_response(*_: Any) -> Any:
        def write(_data: bytes) -> None:
            raise ConnectionResetError

        return write

    lint = Lint(application, report=lambda _finding: None)
    with pytest.raises(ConnectionResetError):
        lint(make_environ(), start_response)
    assert [finding.code for finding in lint.findings] == ["BK214"]
