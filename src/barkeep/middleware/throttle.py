"""Throttle: so many requests at once, the others in a short queue; and so many bytes per second."""

from __future__ import annotations

import time

from ..setting_kinds import KIB, TIB, choice, duration, size, whole_number
from .base import Middleware, Option
from .client_keys import address_key, key_function, key_kind
from .option_kinds import none_or
from .pacing import ClientPaces, Pace, PacedBody, paced_write
from .path_rules import path_list, path_rule
from .response import answer_text, when_closed
from .slots import Slots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from _typeshed import OptExcInfo

    from .fields import Headers
    from .response import Write

    Covers = Callable[[WSGIEnvironment], bool]


class Throttle(Middleware):
    """Let only so many requests into the application at once, and send answers only so fast."""

    shorthand = "concurrency"
    # Fakes take their place in tests.
    clock: Callable[[], float] = staticmethod(time.monotonic)
    sleep: Callable[[float], object] = staticmethod(time.sleep)

    concurrency = Option(
        none_or(whole_number(1, 10_000)), default=None, help="most requests at once that have the same key"
    )
    key = Option(
        key_kind(),
        default=("all",),
        help="what shares the concurrency: all, path, address, header:NAME, cookie:NAME",
    )
    queue = Option(
        whole_number(0, 10_000),
        default=16,
        help="most requests that wait, for each key; further ones are refused with 503 at once",
    )
    wait = Option(
        duration(0.0, 3600.0),
        default=5.0,
        help="longest wait in the queue; then the request is refused with 503",
    )
    rate = Option(none_or(size(KIB, TIB)), default=None, help="bytes of body sent per second")
    rate_per = Option(
        choice("response", "client"),
        default="response",
        help="what the rate is for: each response, or all responses to one address together",
    )
    paths = Option(path_list(), default=(), help="only these paths are throttled; none for all")
    except_paths = Option(path_list(), default=(), help="paths that are not throttled")

    def check(self) -> None:
        """Raises SettingError when there is nothing to do."""
        if self.concurrency is None and self.rate is None:
            raise self.fault(
                "concurrency", "or rate must be given: without both there is nothing to throttle."
            )

    def wrap(self, application: WSGIApplication) -> WSGIApplication:
        """The application behind the throttle; each wrapped application has slots and rates of its own."""
        covers = path_rule(self.paths, self.except_paths)
        if self.rate is not None:
            application = self._paced(application, self.rate, covers)
        if self.concurrency is not None:
            application = self._limited(application, self.concurrency, covers)
        return application

    def _limited(
        self, application: WSGIApplication, concurrency: int, covers: Covers | None
    ) -> WSGIApplication:
        slots = Slots(concurrency, self.queue, self.wait)
        key_of = key_function(self.key)
        retry = [("Retry-After", str(max(1, round(self.wait))))]

        def limited(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            key = key_of(environ) if covers is None or covers(environ) else None
            if key is None:
                return application(environ, start_response)
            if not slots.enter(key):
                text = "Too many requests at once. Try again later."
                return answer_text(environ, start_response, "503 Service Unavailable", text, retry)
            try:
                iterable = application(environ, start_response)
            except BaseException:
                slots.leave(key)
                raise
            return when_closed(iterable, environ, lambda: slots.leave(key))

        return limited

    def _paced(self, application: WSGIApplication, rate: int, covers: Covers | None) -> WSGIApplication:
        clock, sleep = self.clock, self.sleep
        paces = ClientPaces(lambda: Pace(rate, clock, sleep)) if self.rate_per == "client" else None

        def paced(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if covers is not None and not covers(environ):
                return application(environ, start_response)
            pace = Pace(rate, clock, sleep) if paces is None else paces.of(address_key(environ))

            def start(status: str, headers: Headers, exc_info: OptExcInfo | None = None, /) -> Write:
                try:
                    write = (
                        start_response(status, headers, exc_info)
                        if exc_info
                        else start_response(status, headers)
                    )
                finally:
                    exc_info = None
                return paced_write(write, pace)

            iterable = application(environ, start)
            if isinstance(iterable, (list, tuple)) and sum(map(len, iterable)) <= pace.piece_bytes:
                # Too small to be slowed down: a list stays one, and its length known.
                pace.wait(sum(map(len, iterable)))
                return iterable
            return PacedBody(iterable, pace)

        return paced
