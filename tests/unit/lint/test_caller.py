"""lint: what a server, or middleware playing one, does wrong; and what gets lost between two lints."""

from __future__ import annotations

import gc
import io
import warnings
from typing import TYPE_CHECKING, Any
from wsgiref.handlers import SimpleHandler
from wsgiref.validate import WSGIWarning, validator

import pytest

from barkeep.lint import RULES, Lint, drive_middleware
from barkeep.testing.environ import make_environ
from barkeep.testing.gateway import MemoryExchange
from tests.broken_applications import PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from barkeep.lint import Finding


def application(environ: Any, start_response: Any) -> list[bytes]:
    environ["wsgi.input"].read(0)
    start_response("200 OK", [PLAIN])
    return [b"one", b"two"]


def start(*_: Any) -> Any:
    return print


def codes_after(use: Callable[[Any], object], around: Any = application) -> set[str]:
    """The codes that a caller gets for what it does with a lint."""
    lint = Lint(around, report=lambda _finding: None)
    use(lint)
    gc.collect()
    return {finding.code for finding in lint.findings}


def call_with(**changes: Any) -> Callable[[Any], object]:
    """A caller whose environ differs so; None leaves the key out."""

    def use(lint: Any) -> None:
        environ = make_environ()
        for key, value in changes.items():
            name = key.replace("__", ".")
            if value is None:
                del environ[name]
            else:
                environ[name] = value
        try:
            lint(environ, start).close()
        except Exception:
            assert lint.findings

    return use


class Environ(dict[str, Any]):
    """Not the built-in dict."""


class TextInput:
    """Gives str."""

    def read(self, _size: int = -1) -> Any:
        return ""

    readline = read

    def readlines(self, _hint: int = -1) -> Any:
        return ()

    def __iter__(self) -> Any:
        return self


def with_exc_info_late(_environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [PLAIN])
    yield b"begun"
    error = ValueError("in the middle")
    start_response("500 Internal Server Error", [PLAIN], (ValueError, error, None))
    yield b"page"


CALLERS: list[tuple[str, Any]] = [
    ("BK501", lambda lint: lint(environ=make_environ(), start_response=start)),
    ("BK502", lambda lint: lint(Environ(make_environ()), start).close()),
    ("BK503", call_with(SERVER_NAME=None)),
    ("BK504", call_with(REMOTE_PORT=80)),
    ("BK505", call_with(PATH_INFO="/\u20ac")),
    ("BK506", call_with(HTTP_CONTENT_TYPE="text/plain")),
    ("BK507", call_with(wsgi__version=[1, 0])),
    ("BK507", call_with(wsgi__url_scheme="ftp")),
    ("BK508", call_with(SCRIPT_NAME="/")),
    ("BK508", call_with(PATH_INFO="no-slash")),
    ("BK508", call_with(PATH_INFO=None)),
    ("BK509", call_with(CONTENT_LENGTH="-1")),
    ("BK510", call_with(wsgi__input=object())),
    ("BK511", lambda lint: lint(make_environ(), lambda *_: None).close()),
    ("BK512", lambda lint: next(iter(lint(make_environ(), start))) and None),
    ("BK515", call_with(wsgi__input=TextInput())),
    ("BK517", call_with(QUERY_STRING=None)),
    ("BK518", call_with(REQUEST_METHOD="G E T")),
    ("BK519", call_with(wsgi__file_wrapper="a string")),
]


@pytest.mark.parametrize(
    ("code", "use"), [pytest.param(*case, id=f"{case[0]}-{n}") for n, case in enumerate(CALLERS)]
)
def test_fault_of_the_caller_is_found(code: str, use: Any) -> None:
    assert code in codes_after(use)


# What validate has to say about close(), it can only print.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("code", "use"), [pytest.param(*case, id=f"{case[0]}-{n}") for n, case in enumerate(CALLERS)]
)
def test_what_validate_finds_in_a_caller_lint_finds_too(code: str, use: Any) -> None:
    class Validating:
        """wsgiref.validate with the attribute of a lint that a case looks at."""

        findings = ("validate complained",)

        def __call__(self, *arguments: Any, **keywords: Any) -> Any:
            return validator(application)(*arguments, **keywords)

    complaint = ""
    with warnings.catch_warnings():
        warnings.simplefilter("error", WSGIWarning)
        try:
            use(Validating())
        except (AssertionError, WSGIWarning) as error:
            complaint = str(error)
    gc.collect()
    if complaint:
        assert RULES[code].in_validate, complaint


def test_wsgiref_keeps_the_rules_of_a_server() -> None:
    told: list[Finding] = []
    variables = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": "", "SERVER_PROTOCOL": "HTTP/1.1"}
    variables |= {"SERVER_NAME": "shop.example", "SERVER_PORT": "80"}
    out = io.BytesIO()
    handler = SimpleHandler(io.BytesIO(), out, io.StringIO(), variables)
    handler.os_environ = {}
    handler.run(Lint(application, report=told.append))
    assert ([str(finding) for finding in told], out.getvalue().endswith(b"onetwo")) == ([], True)


def test_second_close_is_found() -> None:
    def use(lint: Any) -> None:
        body = lint(make_environ(), start)
        body.close()
        body.close()

    assert codes_after(use) == {"BK513"}


def test_next_chunk_after_close_is_found() -> None:
    def use(lint: Any) -> None:
        body = lint(make_environ(), start)
        body.close()
        next(body)

    assert codes_after(use) == {"BK514"}


def test_start_response_that_takes_exc_info_after_a_chunk_is_found() -> None:
    def use(lint: Any) -> None:
        body = lint(make_environ(), start)
        list(body)
        body.close()

    assert "BK516" in codes_after(use, around=with_exc_info_late)


def test_start_response_that_cannot_be_called_is_found() -> None:
    def use(lint: Any) -> None:
        with pytest.raises(TypeError):
            lint(make_environ(), None)

    assert "BK520" in codes_after(use)


def test_caller_that_keeps_all_rules_has_no_finding() -> None:
    def use(lint: Any) -> None:
        exchange = MemoryExchange(lint, make_environ())
        assert list(exchange) == [b"one", b"two"]
        exchange.close()

    assert codes_after(use) == set()


# -- middleware ------------------------------------------------------------------------------------


def passing(app: Any) -> Any:
    """Does nothing."""
    return app


def joining(app: Any) -> Any:
    """Holds everything back."""

    def joined(environ: Any, start_response: Any) -> Any:
        body = app(environ, start_response)
        try:
            return [b"".join(body)]
        finally:
            body.close()

    return joined


def forgetting_close(app: Any) -> Any:
    def wrapped(environ: Any, start_response: Any) -> Any:
        return (chunk for chunk in app(environ, start_response))

    return wrapped


def dropping_exc_info(app: Any) -> Any:
    def wrapped(environ: Any, start_response: Any) -> Any:
        seen: list[str] = []

        def start_once(status: str, headers: Any, _exc_info: Any = None) -> Any:
            if not seen:
                seen.append(status)
                return start_response(status, headers)
            return print

        return app(environ, start_once)

    return wrapped


def dropping_written(app: Any) -> Any:
    def wrapped(environ: Any, start_response: Any) -> Any:
        def start_quietly(status: str, headers: Any, exc_info: Any = None) -> Any:
            start_response(status, headers, *([exc_info] if exc_info else []))
            return lambda _data: None

        return app(environ, start_quietly)

    return wrapped


def without_write(app: Any) -> Any:
    def wrapped(environ: Any, start_response: Any) -> Any:
        def start_without(status: str, headers: Any, exc_info: Any = None) -> Any:
            start_response(status, headers, *([exc_info] if exc_info else []))

        return app(environ, start_without)

    return wrapped


def upper(app: Any) -> Any:
    """Changes the body's length and keeps the field."""

    def wrapped(environ: Any, start_response: Any) -> Any:
        class Longer:
            def __init__(self) -> None:
                self.body = app(environ, start_response)

            def __iter__(self) -> Any:
                return (chunk + b"!" if chunk else b"" for chunk in self.body)

            def close(self) -> None:
                self.body.close()

        return Longer()

    return wrapped


@pytest.mark.parametrize(
    ("middleware", "code"),
    [
        (joining, "BK401"),
        (forgetting_close, "BK512"),
        (dropping_exc_info, "BK402"),
        (dropping_written, "BK403"),
        (without_write, "BK511"),
        (upper, "BK207"),
    ],
)
def test_fault_of_middleware_is_found_and_named_in_its_own_file(middleware: Any, code: str) -> None:
    found = [finding for finding in drive_middleware(middleware).findings if finding.code == code]
    assert found
    assert {finding.place.file for finding in found if finding.place.file} <= {__file__}


def writing(app: Any) -> Any:
    """Hands on with write() what it takes, chunk by chunk."""

    def wrapped(environ: Any, start_response: Any) -> Any:
        writes: list[Any] = []

        def start_and_keep(status: str, headers: Any, exc_info: Any = None) -> Any:
            writes.append(start_response(status, headers, *([exc_info] if exc_info else [])))
            return writes[-1]

        body = app(environ, start_and_keep)
        try:
            for chunk in body:
                writes[-1](chunk)
        finally:
            body.close()
        return []

    return wrapped


def test_middleware_that_writes_what_it_takes_holds_nothing_back() -> None:
    assert "BK401" not in drive_middleware(writing).codes


def test_middleware_that_does_nothing_has_no_finding() -> None:
    report = drive_middleware(passing)
    assert report.findings == []
    assert report.requests > 100


def test_every_code_of_the_callers_side_is_tested_here() -> None:
    tested = {code for code, _use in CALLERS} | {"BK513", "BK514", "BK516", "BK520"}
    assert {code for code in RULES if code[2] == "5"} == tested


def test_two_lints_in_a_stack_check_what_is_between() -> None:
    found: list[Finding] = []
    inner = Lint(application, report=found.append)
    exchange = MemoryExchange(Lint(joining(inner), report=found.append), make_environ())
    list(exchange)
    exchange.close()
    assert "BK401" in [finding.code for finding in found]
