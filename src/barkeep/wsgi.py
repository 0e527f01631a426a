"""Step 5 of 6 - call the WSGI application and collect its answer (PEP 3333).

PEP 3333 lives here and nowhere else on the application's side: call, start_response, write(), iterate and
close(). The engine checks and sends what is given to `exchange`, which start_response and write() are methods
of; the application is not trusted.
"""

from __future__ import annotations

from .error_stream import ErrorStream
from .errors import ApplicationError, ClientGone, RequestTimeout
from .file_wrapper import FileWrapper, send_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn
    from wsgiref.types import WSGIApplication

    from _typeshed import OptExcInfo

    from ._engine import Engine, Exchange

INTERNAL_SERVER_ERROR = 500


def serve_exchanges(engine: Engine, application: WSGIApplication) -> None:
    """Be an application thread: take one exchange after another until the engine stops."""
    errors = ErrorStream(engine)
    take = engine.application_thread(errors, FileWrapper).take
    while True:
        try:
            # Each exchange has a frame of its own, so that nothing of it outlives it while the thread waits.
            # Others see by this frame being the innermost that it waits (thread_stacks.py).
            while _serve(take(), application, engine):
                if errors.unfinished:
                    errors.flush()
            return
        except RequestTimeout:
            # It was meant for an exchange that has just ended; take() lets none through to the next.
            continue
        except Exception as error:  # a request that cannot be shown to the application: the engine has cut it
            engine.log("error", f"a request could not be handed over: {error!r}")


def _serve(exchange: Exchange | None, application: WSGIApplication, engine: Engine) -> bool:
    if exchange is None:
        return False
    try:
        answer(exchange, application)
    except (ClientGone, RequestTimeout):
        # Of a timeout the watch has told, with the stack.
        exchange.fail(INTERNAL_SERVER_ERROR)
    except BaseException as error:  # also SystemExit: one request may not end the thread
        _report(engine, exchange, error)
    return True


def answer(exchange: Exchange, application: WSGIApplication) -> None:
    """Call the application for one exchange and send all of its answer.

    The iterable's close() is called once, whatever happens. Raises what the application raises,
    ApplicationError for a broken rule, ClientGone when nobody is left to answer; the caller then calls
    `exchange.fail`.
    """
    iterable = application(exchange.environ, exchange.start_response)
    if type(iterable) is list or type(iterable) is tuple:
        exchange.send_all(iterable)
        return
    try:
        _send(exchange, iterable)
    finally:
        close = getattr(iterable, "close", None)
        if close is not None:
            close()


def start_again(
    exchange: Exchange, status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo
) -> None:
    """start_response with exc_info: the application had an error, and this head replaces the one before.

    When that is out, the error itself is raised again (PEP 3333, The start_response() Callable).
    """
    try:
        if exchange.head_is_sent:
            _reraise(exc_info)
        exchange.replace_head(status, headers)
    finally:
        del exc_info  # a circle of frames and traceback would keep all of it alive


def _send(exchange: Exchange, iterable: Iterable[bytes]) -> None:
    """Send what an iterable gives; each chunk is on its way before the next is asked for."""
    if type(iterable) is FileWrapper and send_file(exchange, iterable):
        return
    if hasattr(iterable, "__len__") and len(iterable) == 1:  # type: ignore[arg-type]
        # One chunk is all of the body, so its length is known (PEP 3333, Handling the Content-Length Header).
        exchange.send_all(list(iterable))
        return
    for chunk in iterable:
        exchange.write(chunk)
    exchange.finish()


def _reraise(exc_info: OptExcInfo) -> NoReturn:
    _kind, error, where = exc_info
    if error is None:
        raise ApplicationError("start_response was called after the head was sent, with an empty exc_info")
    raise error.with_traceback(where)


def _report(engine: Engine, exchange: Exchange, error: BaseException) -> None:
    """Log the traceback, and let the client know: 500 before the head, a reset after it."""
    outcome = exchange.fail(INTERNAL_SERVER_ERROR)
    try:
        # Imported when first needed: it costs 1.5 MiB.
        import traceback

        text = "".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip()
    except Exception as second:  # out of descriptors or memory, or an exception that cannot show itself
        text = f"{type(error).__name__} (its traceback cannot be shown: {type(second).__name__})"
    engine.log("error", f"{exchange.request} {outcome}: the application failed\n{text}")
