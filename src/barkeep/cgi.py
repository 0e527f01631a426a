"""`python -m barkeep.cgi TARGET`: run one request for a web server by RFC 3875, with any WSGI application.

Exit codes are those of barkeep: 0 answered, 1 the application failed, 2 unusable words, 3 it failed to load.
"""

from __future__ import annotations

import os
import signal
import sys

from .cgi_environ import make_cgi_environ
from .cgi_exchange import CgiExchange
from .errors import AppImportError, AppLoadError, ClientGone, RequestBodyError, SettingError
from .wsgi import answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from wsgiref.types import WSGIApplication

EXIT_ANSWERED = 0
EXIT_FAILED = 1
EXIT_SETTINGS = 2
EXIT_APPLICATION = 3

BAD_REQUEST = 400
INTERNAL_SERVER_ERROR = 500

USAGE = "python -m barkeep.cgi [--nph] [--chdir PATH] [--pythonpath PATH] TARGET"


def main(words: Sequence[str]) -> int:
    """Answer the request in the process environment; the result is the exit code."""
    try:
        options = _read_words(words)
        if options.chdir:
            os.chdir(options.chdir)
    except SettingError as error:
        return _refuse(str(error), EXIT_SETTINGS)
    except OSError as error:
        return _refuse(f"--chdir must be a directory: {error.strerror}.", EXIT_SETTINGS)

    def load() -> WSGIApplication:
        from .app_loader import load_application, prepare_import_path

        prepare_import_path(options.pythonpath)
        return load_application(options.target)

    return _run(load, options.nph)


def run(application: WSGIApplication, *, nph: bool | None = None) -> int:
    """The same from a script of one's own: `sys.exit(barkeep.cgi.run(application))`.

    nph: the answer goes to the client unparsed; None: as the script's name says, which then begins with nph-.
    """
    return _run(lambda: application, nph)


def _run(load: Callable[[], WSGIApplication], nph: bool | None) -> int:
    # What the application prints, and programs that it starts, must not get into the answer or eat the body.
    body, output = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    # HTTP libraries take the Proxy field of a request for the operator's proxy ("httpoxy").
    os.environ.pop("HTTP_PROXY", None)
    try:
        return _answer(load, nph, body, output)
    finally:
        sys.stdout.flush()
        os.close(body)
        os.close(output)


def _answer(load: Callable[[], WSGIApplication], nph: bool | None, body: int, output: int) -> int:
    variables = os.environb
    is_nph = _is_nph(variables.get(b"SCRIPT_NAME", b"")) if nph is None else nph
    try:
        environ = make_cgi_environ(variables, body)
    except SettingError as error:
        return _refuse(str(error), EXIT_SETTINGS)
    except RequestBodyError as error:
        method = os.fsdecode(variables.get(b"REQUEST_METHOD", b""))
        bare = CgiExchange({"REQUEST_METHOD": method}, output, is_nph=is_nph)
        code = _refuse(str(error), EXIT_FAILED)
        bare.fail(BAD_REQUEST)
        return code
    exchange = CgiExchange(environ, output, is_nph=is_nph)

    def leave(_number: int, _frame: object) -> None:
        # A server ends a script whose client has gone, and leaving this way calls close(). Some also end one
        # whose answer they have whole; then close() and the log must not be interrupted.
        if not exchange.is_complete:
            raise _Ended(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, leave)
    try:
        application = load()
    except AppLoadError as error:
        exchange.fail(INTERNAL_SERVER_ERROR)
        if isinstance(error, AppImportError):
            sys.stderr.write(error.traceback_text)
        return _refuse(str(error), EXIT_APPLICATION)
    try:
        answer(exchange, application)  # type: ignore[arg-type]  # what answer() asks of an exchange, it has
    except ClientGone:
        return EXIT_ANSWERED
    except RequestBodyError as error:
        exchange.fail(BAD_REQUEST)
        return _refuse(f"{exchange.request}: {error}", EXIT_FAILED)
    except _Ended:
        raise
    except BaseException as error:  # also SystemExit: the server must have its answer
        _report(exchange, error)
        return EXIT_FAILED
    return EXIT_ANSWERED


def _is_nph(script_name: bytes) -> bool:
    """By its name a server knows a script whose output it must not parse (RFC 3875, section 5)."""
    return script_name.rpartition(b"/")[2].startswith(b"nph-")


def _report(exchange: CgiExchange, error: BaseException) -> None:
    # Imported on the way to an error only: it costs 3 ms.
    import traceback

    outcome = "cut" if exchange.head_is_sent else f"answered {INTERNAL_SERVER_ERROR}"
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    sys.stderr.write(f"barkeep.cgi: {exchange.request} {outcome}: the application failed\n{text}")
    # After the log: a server may end this process as soon as it has the answer.
    sys.stderr.flush()
    exchange.fail(INTERNAL_SERVER_ERROR)


class _Ended(SystemExit):
    """The server wants this process to end."""


def _refuse(message: str, code: int) -> int:
    sys.stderr.write(f"barkeep.cgi: {message}\n")
    return code


class _Options:
    """What was typed. nph: None when the script's name decides."""

    def __init__(self) -> None:
        self.nph: bool | None = None
        self.chdir = ""
        self.pythonpath: list[str] = []
        self.target = ""


def _read_words(words: Sequence[str]) -> _Options:
    # Not argparse: it costs 8 ms, and here every request is a start.
    options = _Options()
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--nph":
            options.nph = True
        elif word in ("--chdir", "--pythonpath"):
            if not left:
                raise SettingError(f"{word} needs a value. Usage: {USAGE}")
            value = left.pop(0)
            if word == "--chdir":
                options.chdir = value
            else:
                options.pythonpath.append(value)
        elif word.startswith("-"):
            raise SettingError(f'there is no option "{word}". Usage: {USAGE}')
        elif options.target:
            # A server may add the words of a query without "=" (RFC 3875, section 4.4).
            raise SettingError(f'one TARGET is needed, found "{options.target}" and "{word}". Usage: {USAGE}')
        else:
            options.target = word
    if not options.target:
        raise SettingError(f"a TARGET is needed, such as module:app. Usage: {USAGE}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
