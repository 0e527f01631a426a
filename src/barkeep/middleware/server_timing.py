"""Show in the browser's developer tools where the time of a request went (W3C Server Timing)."""

from __future__ import annotations

import contextlib
import re
import time

from ..setting import Kind
from ..setting_kinds import field_value
from .base import Middleware, Option
from .response import changed_head

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from .fields import Headers

TIMINGS_KEY = "barkeep.timings"
# What fits a field sensibly; a loop that measures each query must not make a head that proxies refuse.
MAX_TIMINGS = 50

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)


def _metric_name() -> Kind[str]:
    def read(found: object) -> str:
        if isinstance(found, str) and TOKEN.fullmatch(found):
            return found
        raise ValueError

    return Kind("a name of letters, digits and marks without spaces", "NAME", read, str)


class Timings:
    """The measurements of one request, in environ["barkeep.timings"]. One thread at a time may add to it.

    with environ["barkeep.timings"].measure("db"): ...
    """

    __slots__ = ("metrics",)

    def __init__(self) -> None:
        self.metrics: list[str] = []

    def add(self, name: str, duration_ms: float | None = None, description: str = "") -> None:
        """Add one measurement. Raises ValueError for a name that is no token. The first 50 are sent."""
        if not TOKEN.fullmatch(name):
            raise ValueError(f"a timing needs a name of letters, digits and marks, found {name!r}")
        metric = name if duration_ms is None else f"{name};dur={duration_ms:.1f}"
        if description:
            shown = ascii(description)[1:-1].replace("\\", "\\\\").replace('"', '\\"')
            metric += f';desc="{shown}"'
        if len(self.metrics) < MAX_TIMINGS:
            self.metrics.append(metric)

    @contextlib.contextmanager
    def measure(self, name: str, description: str = "") -> Iterator[None]:
        """Add how long the block of a with statement took."""
        begun_s = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, (time.perf_counter() - begun_s) * 1000, description)


class ServerTiming(Middleware):
    """Adds a Server-Timing field: how long the application took to its head, and what it measured itself.

    What it takes after its head cannot be told: fields are sent first. Times tell attackers what is slow, so
    it is for development, or for pages behind a login.
    """

    shorthand = "total"

    total = Option(_metric_name(), default="app", help="name of the time from the call to the head")
    allow_origin = Option(
        field_value(), default="",
        help='Timing-Allow-Origin: origins whose scripts may read the times, or "*"; empty sends none',
    )  # fmt: skip

    def wrap(self, application: WSGIApplication, /) -> WSGIApplication:
        total, now_s = self.total, time.perf_counter
        allowed = [("Timing-Allow-Origin", self.allow_origin)] if self.allow_origin else []

        def timed(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            timings = Timings()
            environ[TIMINGS_KEY] = timings
            begun_s = now_s()

            def add(status: str, headers: Headers) -> tuple[str, Headers]:
                duration = f"{total};dur={(now_s() - begun_s) * 1000:.1f}"
                value = ", ".join([duration, *timings.metrics])
                # Server-Timing is a list: the application's own fields stay beside ours.
                return status, [*headers, ("Server-Timing", value), *allowed]

            return application(environ, changed_head(start_response, add))

        return timed
