"""Lint: stands between a caller and an application, changes nothing, and tells which rules either breaks."""

from __future__ import annotations

import io

from . import places
from .check_environ import check_environ
from .record import Finding, Recorder, show
from .streams import ErrorsProbe, InputProbe
from .watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any
    from wsgiref.types import WSGIApplication, WSGIEnvironment

# Where a Lint leaves its watch for those within.
WATCH_KEY = "barkeep.lint"


class Lint:
    """A WSGI application that hands everything on to another and notes the rules of PEP 3333 that are broken.

    report: called with each new Finding; without it, findings are lines in wsgi.errors.
    ignore: codes that are not told.
    The iterable is wrapped, so a file_wrapper is read here and not sent by the kernel. Errors of the
    application and the server go through unchanged. Raises ValueError for a code that there is not.

    In a stack, `Lint` is a piece like any other: `stack(app, Lint, Compress(), Lint)` checks what is between.
    """

    def __init__(
        self,
        application: WSGIApplication,
        /,
        *,
        report: Callable[[Finding], object] | None = None,
        ignore: Iterable[str] = (),
    ) -> None:
        self.application = application
        self._report = report
        self._recorder = Recorder(ignore)
        self._place = places.of_application(application)

    @property
    def findings(self) -> list[Finding]:
        """All so far, each code once for each place."""
        return self._recorder.findings

    def note(self, code: str, seen: str, place: places.Place, request: str) -> None:
        """Add a finding that comes from comparing several exchanges."""
        self._recorder.add(code, seen, place, request, self._report or _reporter_to(None))

    def __call__(self, *arguments: Any, **keywords: Any) -> Iterable[bytes]:
        """Call the application; the result is its iterable, watched. Whoever calls must call close()."""
        environ: Any = arguments[0] if arguments else keywords.get("environ")
        watch = self._make_watch(environ if isinstance(environ, dict) else {})
        if keywords or len(arguments) != 2:
            watch.caller_fault("BK501", f"{len(arguments)} by position and {show(list(keywords))} by name")
            odd: Iterable[bytes] = self.application(*arguments, **keywords)
            return odd
        start_response = arguments[1]
        if not callable(start_response):
            watch.caller_fault("BK520", f"start_response is {show(start_response)}")
        for code, seen in check_environ(environ):
            watch.caller_fault(code, seen)
        if isinstance(environ, dict):
            _watch_streams(environ, watch)
        try:
            iterable: object = self.application(environ, _watched_start(start_response, watch))
        except BaseException as error:
            watch.raised(error)
            raise
        watch.is_called = True
        body: Iterable[bytes] = _watched_body(iterable, watch)
        return body

    def _make_watch(self, environ: WSGIEnvironment) -> Watch:
        outer = environ.get(WATCH_KEY)
        method, path = environ.get("REQUEST_METHOD", "?"), environ.get("PATH_INFO", "")
        query = environ.get("QUERY_STRING")
        report = self._report
        if report is None:
            report = _reporter_to(environ.get("wsgi.errors"))
        watch = Watch(
            self._recorder,
            report,
            f"{method} {environ.get('SCRIPT_NAME', '')}{path}{f'?{query}' if query else ''}",
            method == "HEAD",
            outer if isinstance(outer, Watch) and not outer.is_closed else None,
            self._place,
        )
        environ[WATCH_KEY] = watch
        return watch


class Body:
    """The application's iterable, each step watched."""

    def __init__(self, iterable: Any, watch: Watch, announced: int | None) -> None:
        self._iterable = iterable
        self._iterator: Iterator[Any] | None = None
        self._watch = watch
        self._announced = announced

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        watch = self._watch
        if watch.is_closed:
            watch.caller_fault("BK514", "the next chunk was asked for")
        try:
            if self._iterator is None:
                self._iterator = iter(self._iterable)
            chunk = next(self._iterator)
        except StopIteration:
            if not watch.is_closed:
                watch.end(self._place(), self._announced)
            raise
        except BaseException as error:
            watch.raised(error)
            raise
        watch.give(chunk, self._place())
        return chunk

    def close(self) -> None:
        """Close the application's iterable, and look at the whole."""
        watch = self._watch
        if watch.is_closed:
            watch.caller_fault("BK513", "close() was called again")
        try:
            # The application's close() may still look at the streams: it is not over before.
            close = getattr(self._iterable, "close", None)
            if close is not None:
                close()
        except BaseException as error:
            watch.fault("BK210", f"{type(error).__name__}: {error}", places.of_traceback(error.__traceback__))
            raise
        finally:
            if not watch.is_closed:
                watch.close()

    def __del__(self) -> None:
        watch = self._watch
        if not watch.is_closed:
            watch.caller_fault("BK512", f"the iterable was dropped after {watch.chunks_given} chunks")

    def _place(self) -> places.Place:
        return places.of_iterator(self._iterator) or self._watch.application


class SizedBody(Body):
    """The same for an iterable that has a len()."""

    def __len__(self) -> int:
        return len(self._iterable)


def _watch_streams(environ: WSGIEnvironment, watch: Watch) -> None:
    length = environ.get("CONTENT_LENGTH", "")
    is_terminated = bool(environ.get("wsgi.input_terminated"))
    is_number = isinstance(length, str) and length.isascii() and length.isdigit()
    # Without a length there is no body, unless the server says that it ends by itself.
    bytes_left = int(length) if is_number else None if is_terminated else 0
    if "wsgi.input" in environ:
        environ["wsgi.input"] = InputProbe(environ["wsgi.input"], watch, bytes_left, is_terminated)
    if "wsgi.errors" in environ:
        environ["wsgi.errors"] = ErrorsProbe(environ["wsgi.errors"], watch)


def _watched_start(start_response: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    def start(*arguments: Any, **keywords: Any) -> Callable[[bytes], object]:
        error = watch.start(arguments, keywords)
        try:
            # The caller may change the list it is given; what the application changes is the application's.
            if len(arguments) > 1 and type(arguments[1]) is list:
                arguments = (arguments[0], list(arguments[1]), *arguments[2:])
            write = start_response(*arguments, **keywords)
        except BaseException as raised:
            watch.start_raised(error, raised)
            raise
        watch.start_returned(write, error)

        def watched_write(data: Any, /) -> object:
            watch.write(data)
            try:
                return write(data)
            except BaseException as raised:
                watch.caller_raised(raised)
                raise

        return watched_write

    return start


def _watched_body(iterable: Any, watch: Watch) -> Any:
    """The iterable to hand on; what is no iterable goes on as it is, for the caller to complain."""
    if isinstance(iterable, (str, bytes)):
        watch.fault("BK202", f"it returned {show(iterable)}", watch.application)
    elif not hasattr(iterable, "__iter__") and not hasattr(iterable, "__getitem__"):
        watch.fault("BK201", f"it returned {show(iterable)}", watch.application)
        watch.is_closed = True
        return iterable
    elif isinstance(iterable, io.IOBase):
        watch.fault("BK213", f"it returned {show(iterable)}", watch.application)
    try:
        announced = len(iterable)
    except Exception:  # no len(), or one that fails: the server does without
        return Body(iterable, watch, None)
    return SizedBody(iterable, watch, announced)


def _reporter_to(errors: Any) -> Callable[[Finding], None]:
    """Findings as lines in the server's log; one that cannot be written to is told already."""

    def report(finding: Finding) -> None:
        try:
            errors.write(f"lint: {finding} ({finding.request})\n")
        except Exception:
            return

    return report
