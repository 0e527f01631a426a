"""Tell the application by when it must be done: environ["barkeep.deadline"], a moment of time.monotonic()."""

from __future__ import annotations

import time

from ..setting_kinds import duration
from .base import Middleware, Option
from .option_kinds import by_prefix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

DEADLINE_KEY = "barkeep.deadline"
DAY_S = 86_400.0


def seconds_left(environ: WSGIEnvironment) -> float | None:
    """Seconds until the deadline of a request, 0.0 when it has passed; None without one.

    For timeouts of database calls and requests to others: `requests.get(url, timeout=seconds_left(environ))`.
    """
    deadline_s = environ.get(DEADLINE_KEY)
    return None if deadline_s is None else max(0.0, deadline_s - time.monotonic())


class Timeout(Middleware):
    """Sets environ["barkeep.deadline"], or brings it forward; it never puts off the server's own.

    It is a hint: applications pass it on to what they wait for. What enforces a deadline is the server.
    """

    shorthand = "limit"

    limit = Option(duration(0.001, DAY_S), help="time an application may take")
    limit_for = Option(
        by_prefix("paths with times, such as /reports=5m", duration(0.001, DAY_S), "PATH=TIME"), default=(),
        help="the same for paths below a prefix; the longest prefix counts",
    )  # fmt: skip

    def wrap(self, application: WSGIApplication, /) -> WSGIApplication:
        limit_s, limits_s = self.limit, self.limit_for
        now_s = time.monotonic

        def limited(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            mine_s = limit_s
            if limits_s:
                path = environ.get("PATH_INFO", "") + "/"
                mine_s = next(
                    (time_s for prefix, time_s in limits_s if path.startswith(f"{prefix}/")), limit_s
                )
            deadline_s = now_s() + mine_s
            servers_s = environ.get(DEADLINE_KEY)
            if servers_s is None or deadline_s < servers_s:
                environ[DEADLINE_KEY] = deadline_s
            return application(environ, start_response)

        return limited
