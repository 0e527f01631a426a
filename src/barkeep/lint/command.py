"""`barkeep lint TARGET`: load, drive, report. Exit codes: 0 clean, 1 findings, 2 usage, 3 cannot load."""

from __future__ import annotations

import argparse
import os
import sys

from ..errors import SettingError
from .codes import DOCUMENT, RULES
from .report import FORMATS
from .rule import SEVERITIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn
    from wsgiref.types import WSGIApplication

    from .driver import Report

EXIT_CLEAN = 0
EXIT_FINDINGS = 1

NEVER = "never"

DESCRIPTION = """\
Call a WSGI application with a set of requests, without sockets, and tell which rules of PEP 3333 it breaks,
on which line, and how to mend it. The application is really called: POST and DELETE do what they do there."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingError(f"{message}. See barkeep lint --help.")


def main(words: Sequence[str]) -> int:
    """Run the command; the result is the exit code. Raises SettingError and AppLoadError."""
    found = make_parser().parse_args(words)
    if found.explain:
        return _explain(found.explain)
    if not found.target:
        raise SettingError("barkeep lint needs a TARGET, such as module:app. See barkeep lint --help.")
    _check_codes(found.ignore)
    targets = found.path or ["/"]
    for target in targets:
        if not target.startswith("/"):
            raise SettingError(f'--path must begin with a slash, found "{target}" (command line).')
    if found.chdir:
        _change_directory(found.chdir)
    report = _drive(found, targets)
    _write(FORMATS[found.format](report, found.target), found.output)
    if found.fail_on != NEVER and report.at_least(found.fail_on):
        return EXIT_FINDINGS
    return EXIT_CLEAN


def make_parser() -> argparse.ArgumentParser:
    """The options of `barkeep lint`."""
    parser = _Parser(
        prog="barkeep lint", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "target", nargs="?", metavar="TARGET", help="as for barkeep: module:name, file.py:name"
    )
    parser.add_argument(
        "--path", action="append", metavar="PATH", help="a path that it answers, with its query; repeatable"
    )
    parser.add_argument("--safe", action="store_true", help="only GET, HEAD and OPTIONS")
    parser.add_argument(
        "--middleware", action="store_true", help="TARGET wraps an application: check it from both sides"
    )
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="CODE", help="do not tell this code; repeatable"
    )
    parser.add_argument("--format", choices=tuple(FORMATS), default="text", help="(default text)")
    parser.add_argument("--output", metavar="FILE", help="write the report to this file")
    parser.add_argument(
        "--fail-on",
        choices=(*SEVERITIES, NEVER),
        default="warning",
        help="exit with 1 from this severity on (default warning)",
    )
    parser.add_argument("--explain", metavar="CODE", help="tell what a code means, and stop")
    parser.add_argument("--chdir", metavar="PATH", help="as for barkeep")
    parser.add_argument("--pythonpath", action="append", default=[], metavar="PATH", help="as for barkeep")
    return parser


def _drive(found: argparse.Namespace, targets: list[str]) -> Report:
    from contextlib import redirect_stdout

    from ..app_loader import load_application, prepare_import_path

    prepare_import_path(found.pythonpath)
    # What the application prints must not get into the report.
    with redirect_stdout(sys.stderr):
        loaded = load_application(found.target) if not found.middleware else _load_middleware(found.target)
        if found.middleware:
            from .driver_middleware import drive_middleware

            return drive_middleware(loaded, ignore=found.ignore)  # type: ignore[arg-type]
        from .driver import drive

        return drive(loaded, targets=targets, safe_only=found.safe, ignore=found.ignore)  # type: ignore[arg-type]


def _load_middleware(target: str) -> Callable[..., WSGIApplication]:
    """What a target names, without the application's two arguments being asked for."""
    from ..app_loader import load_object

    found = load_object(target)
    if not callable(found):
        raise SettingError(f'"{target}" must be callable with an application, found {type(found).__name__}.')
    return found


def _check_codes(codes: Sequence[str]) -> None:
    from ..setting import nearest_name

    for code in codes:
        if code not in RULES:
            near = nearest_name(code, list(RULES))
            raise SettingError(f'there is no lint code "{code}" (command line).{near}')


def _explain(code: str) -> int:
    _check_codes([code])
    rule = RULES[code]
    print(f"{code} {rule.severity}: {rule.title}\n{rule.why}\n{rule.mend}")
    print(f"{rule.source}; {DOCUMENT.format(code)}")
    return EXIT_CLEAN


def _change_directory(path: str) -> None:
    try:
        os.chdir(path)
    except OSError as error:
        raise SettingError(f'--chdir must be a directory, found "{path}": {error.strerror}.') from None


def _write(text: str, file: str | None) -> None:
    if not file:
        sys.stdout.write(text)
        return
    try:
        with open(file, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise SettingError(f'--output cannot be written, found "{file}": {error.strerror}.') from None
