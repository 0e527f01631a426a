"""One name for each request, in answers, logs and calls to others: X-Request-ID and W3C Trace Context."""

from __future__ import annotations

import random
import re
from contextvars import ContextVar

from ..setting import Kind
from ..setting_kinds import switch
from .base import Middleware, Option
from .response import when_closed, with_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable
    from typing import Any
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

REQUEST_ID_KEY = "barkeep.request_id"
TRACEPARENT_KEY = "barkeep.traceparent"

# Id and traceparent of the request this thread works on. One variable for both: setting one costs 100 ns.
CURRENT: ContextVar[tuple[str, str]] = ContextVar("barkeep_request", default=("", ""))

# What clients may choose: nothing that could mean something in a log line, a shell or a page.
USABLE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~+/=:@-]{0,127}", re.ASCII)

# version-trace-parent-flags, and more fields in versions to come (W3C Trace Context, section 3.2).
TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
NO_TRACE = "0" * 32
NO_PARENT = "0" * 16
# Flags of our own traces: sampling is for a tracer to decide, so none.
NEW_TRACE_FLAGS = "00"
# An id and a span, in hexadecimal digits.
ID_DIGITS = 32
SPAN_DIGITS = 16
RANDOM_BITS = 4 * (ID_DIGITS + SPAN_DIGITS)
HEXADECIMAL = f"{{:0{ID_DIGITS + SPAN_DIGITS}x}}".format

FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*", re.ASCII)


def current_request_id() -> str:
    """The id of the request this thread works on; "" outside of one."""
    return CURRENT.get()[0]


def current_traceparent() -> str:
    """The traceparent for calls that this request makes; "" outside of one, or without tracing."""
    return CURRENT.get()[1]


def _field_name() -> Kind[str]:
    def read(found: object) -> str:
        if isinstance(found, str) and FIELD_NAME.fullmatch(found):
            return found
        raise ValueError

    return Kind("the name of a header field", "NAME", read, str)


class RequestId(Middleware):
    """Gives each request an id and a place in a trace: accepted from the client or made here.

    The id is in the answer's field, in environ["barkeep.request_id"] and, while the application works, in the
    context variable behind `current_request_id()`; HTTP_TRACEPARENT becomes the parent for calls the
    application makes.
    """

    shorthand = "header"

    header = Option(_field_name(), default="X-Request-ID", help="the field that carries the id")
    accept = Option(
        switch(), default=True,
        help="use the client's id, if it is short and plain; off: always a new one",
    )  # fmt: skip
    trace = Option(
        switch(), default=True,
        help="continue or begin a W3C trace: traceparent for the application, traceresponse for the client",
    )  # fmt: skip

    def wrap(self, application: WSGIApplication, /) -> WSGIApplication:
        header, accepts, traces = self.header, self.accept, self.trace
        key = "HTTP_" + header.upper().replace("-", "_")

        def named(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            # Unique, not secret: os.urandom would cost a system call. Seeded again in each forked process.
            digits = HEXADECIMAL(random.getrandbits(RANDOM_BITS))
            request_id = environ.get(key, "") if accepts else ""
            if not request_id or not USABLE_ID.fullmatch(request_id):
                request_id = digits[:ID_DIGITS]
            environ[REQUEST_ID_KEY] = environ[key] = request_id
            traceparent = ""
            added = [(header, request_id)]
            if traces:
                traceparent = _continue_trace(environ, digits)
                added = [(header, request_id), ("traceresponse", traceparent)]

            before = CURRENT.get()
            CURRENT.set((request_id, traceparent))

            def forget() -> None:
                # Not Token.reset: servers may close from another thread.
                CURRENT.set(before)

            try:
                iterable = application(environ, with_fields(start_response, added))
            except BaseException:
                forget()
                raise
            kind = type(iterable)
            if kind is list or kind is environ.get("wsgi.file_wrapper"):
                # No code of the application runs for a file, and some servers close it from another thread.
                forget()
                return iterable
            return when_closed(iterable, environ, forget)

        return named


class RequestIdFilter:
    """A filter for logging handlers: records get `request_id` and `trace_id`, for "%(request_id)s" in a
    format."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Never drops a record. Outside of a request both are "-"."""
        named: Any = record
        named.request_id = CURRENT.get()[0] or "-"
        named.trace_id = CURRENT.get()[1][3:35] or "-"
        return True


def _continue_trace(environ: WSGIEnvironment, digits: str) -> str:
    """The traceparent of this request's own span, which is put into the environ for the application."""
    trace_id, flags = digits[:ID_DIGITS], NEW_TRACE_FLAGS
    given = environ.get("HTTP_TRACEPARENT")
    found = TRACEPARENT.fullmatch(given) if given else None
    if found is not None and _is_valid(found):
        trace_id, flags = found[2], found[4]
    elif "HTTP_TRACESTATE" in environ:
        # Without its traceparent it means nothing (section 3.3).
        del environ["HTTP_TRACESTATE"]
    traceparent = f"00-{trace_id}-{digits[ID_DIGITS:]}-{flags}"
    environ[TRACEPARENT_KEY] = environ["HTTP_TRACEPARENT"] = traceparent
    return traceparent


def _is_valid(found: re.Match[str]) -> bool:
    version, trace_id, parent_id, has_more = found[1], found[2], found[3], found[5] is not None
    if version == "ff" or (version == "00" and has_more):
        return False
    return trace_id != NO_TRACE and parent_id != NO_PARENT
