"""What lint says about the environ that a caller gives: pure, each fault as (code, what was seen)."""

from __future__ import annotations

from .check_head import DIGITS, TOKEN
from .record import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Fault = tuple[str, str]

REQUIRED = (
    "REQUEST_METHOD",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "wsgi.version",
    "wsgi.url_scheme",
    "wsgi.input",
    "wsgi.errors",
    "wsgi.multithread",
    "wsgi.multiprocess",
    "wsgi.run_once",
)
INPUT_METHODS = ("read", "readline", "readlines", "__iter__")
ERRORS_METHODS = ("flush", "write", "writelines")


def check_environ(environ: object) -> Iterator[Fault]:
    """Faults of the first argument of an application."""
    if type(environ) is not dict:
        yield "BK502", f"environ is of type {type(environ).__name__}"
    if not isinstance(environ, dict):
        return
    for key in REQUIRED:
        if key not in environ:
            yield "BK503", f"{key} is not in environ"
    for key in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"):
        if key in environ:
            yield "BK506", f"{key} is in environ"
    if "QUERY_STRING" not in environ:
        yield "BK517", "QUERY_STRING is not in environ"
    yield from _check_texts(environ)
    yield from _check_wsgi(environ)
    yield from _check_paths(environ)
    length = environ.get("CONTENT_LENGTH")
    if length and not (isinstance(length, str) and DIGITS.fullmatch(length)):
        yield "BK509", f"CONTENT_LENGTH is {show(length)}"
    method = environ.get("REQUEST_METHOD")
    if isinstance(method, str) and not TOKEN.fullmatch(method):
        yield "BK518", f"REQUEST_METHOD is {show(method)}"
    if not callable(environ.get("wsgi.file_wrapper", print)):
        yield "BK519", f"wsgi.file_wrapper is {show(environ['wsgi.file_wrapper'])}"


def _check_texts(environ: Mapping[object, object]) -> Iterator[Fault]:
    for key, value in environ.items():
        if type(key) is not str:
            yield "BK504", f"the key {show(key)} is of type {type(key).__name__}"
        # A dot marks an extension, whose type is its author's business.
        elif "." not in key:
            if type(value) is not str:
                yield "BK504", f"{key} is {show(value)}, of type {type(value).__name__}"
            elif not all(character <= "\xff" for character in value):
                yield "BK505", f"{key} is {show(value)}"


def _check_wsgi(environ: Mapping[object, object]) -> Iterator[Fault]:
    version = environ.get("wsgi.version", (1, 0))
    if type(version) is not tuple or version != (1, 0):
        yield "BK507", f"wsgi.version is {show(version)}"
    scheme = environ.get("wsgi.url_scheme", "http")
    if scheme not in ("http", "https"):
        yield "BK507", f"wsgi.url_scheme is {show(scheme)}"
    for key, methods in (("wsgi.input", INPUT_METHODS), ("wsgi.errors", ERRORS_METHODS)):
        lacking = [name for name in methods if key in environ and not hasattr(environ[key], name)]
        if lacking:
            yield "BK510", f"{key} has no {', '.join(lacking)}"


def _check_paths(environ: Mapping[object, object]) -> Iterator[Fault]:
    script, path = environ.get("SCRIPT_NAME"), environ.get("PATH_INFO")
    if script and not str(script).startswith("/"):
        yield "BK508", f"SCRIPT_NAME is {show(script)}"
    if script == "/":
        yield "BK508", "SCRIPT_NAME is '/'"
    # OPTIONS * has an asterisk for its target; what becomes of it is each server's own.
    if path and not str(path).startswith("/") and path != "*":
        yield "BK508", f"PATH_INFO is {show(path)}"
    if not script and "PATH_INFO" not in environ:
        yield "BK508", "neither SCRIPT_NAME nor PATH_INFO is in environ"
