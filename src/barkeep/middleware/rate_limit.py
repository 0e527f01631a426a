"""RateLimit: so many requests in so much time for each client, counted here or for many machines in Redis."""

from __future__ import annotations

from ..setting import Kind
from ..setting_kinds import choice, duration, plain_text
from .base import Middleware, Option
from .client_keys import key_function, key_kind
from .libraries import library
from .path_rules import path_list, path_rule
from .rate_store import REDIS_SCHEMES, StoreDown, StoredWindow, StoreWatch, connect
from .rate_windows import FixedWindow, MovingWindow
from .response import answer_text, changed_head

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from .fields import Headers
    from .rate_store import Window
    from .rate_windows import Taken

IN_MEMORY = "memory://"

# What Retry-After says while the store is down and requests are refused, in seconds.
STORE_RETRY_S = 5


class Limit:
    """At most `amount` requests in `period_s` seconds. text: as it was written."""

    __slots__ = ("amount", "period_s", "text")

    def __init__(self, amount: int, period_s: int, text: str) -> None:
        self.amount = amount
        self.period_s = period_s
        self.text = text

    @property
    def policy(self) -> str:
        """Its name in the RateLimit fields."""
        return f'"{self.amount}-per-{self.period_s}s"'


def limits_kind() -> Kind[tuple[Limit, ...]]:
    """Limits in the words of the limits library, with ";" or "," between them; the shortest period first."""

    def read(found: object) -> tuple[Limit, ...]:
        written = found.replace(",", ";").split(";") if isinstance(found, str) else found
        if not isinstance(written, (list, tuple)) or not all(isinstance(text, str) for text in written):
            raise ValueError
        return tuple(
            sorted((_parse_limit(text.strip(" ")) for text in written), key=lambda limit: limit.period_s)
        )

    def show(value: tuple[Limit, ...]) -> str:
        return "; ".join(limit.text for limit in value)

    return Kind("limits such as 100/minute; 2000/day", "LIMIT", read, show, is_list=True)


def _parse_limit(text: str) -> Limit:
    # parse() would take the first of several and leave out the rest.
    items = library("limits", "ratelimit", "RateLimit").parse_many(text)
    if len(items) != 1 or items[0].amount < 1:
        raise ValueError(f"{text!a} is no limit")
    item = items[0]
    return Limit(item.amount, item.get_expiry(), text)


class RateLimit(Middleware):
    """Refuse with 429 what a client asks above its limits, with Retry-After and the RateLimit fields."""

    shorthand = "limit"

    limit = Option(limits_kind(), help="most requests in a time, as 100/minute; several must all hold")
    key = Option(
        key_kind(),
        default=("address",),
        help="what is counted by: address (IPv6 by /64 network), header:NAME, cookie:NAME, path, all",
    )
    window = Option(
        choice("moving", "fixed"),
        default="moving",
        help="moving looks back from now; fixed begins with the first request, and lets two bursts meet",
    )
    paths = Option(path_list(), default=(), help="only these paths are limited; none for all")
    except_paths = Option(path_list(), default=(), help="paths that are not limited")
    store = Option(
        plain_text(f"{IN_MEMORY}, or a URL that begins with {', '.join(REDIS_SCHEMES)}"),
        default=IN_MEMORY,
        is_secret=True,
        help="where requests are counted: in each process, or in Redis for all of them",
    )
    store_timeout = Option(duration(0.01, 30.0), default=0.2, help="longest wait for one answer of the store")
    on_store_failure = Option(
        choice("open", "closed"),
        default="open",
        help="without the store, let requests through (open) or refuse them with 503 (closed)",
    )
    fields = Option(
        choice("all", "refused", "off"),
        default="refused",
        help="which answers have the RateLimit fields; all asks a shared store twice for each request",
    )
    group = Option(
        plain_text("a word"),
        default="default",
        help="keeps counts apart that would share a store, a limit and a key",
    )

    def check(self) -> None:
        """Raises SettingError when the store cannot be used. It is not asked anything yet."""
        if self.store == IN_MEMORY:
            self._storage = None
            return
        if not self.store.startswith(REDIS_SCHEMES):
            raise self.fault("store", f"must be {type(self).store.kind.allowed}.")
        try:
            self._storage = connect(self.store, self.store_timeout)
        except ValueError as error:
            raise self.fault("store", f"is no URL that Redis clients take: {error}.") from None

    def wrap(self, application: WSGIApplication) -> WSGIApplication:
        """The application within its limits. In memory, each wrapped application has counts of its own."""
        windows = [self._window(limit) for limit in self.limit]
        watch = StoreWatch()
        key_of, prefix = key_function(self.key), f"{self.group}/"
        is_covered = path_rule(self.paths, self.except_paths)
        tells_all = self.fields == "all"

        def limited(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if is_covered is not None and not is_covered(environ):
                return application(environ, start_response)
            key = key_of(environ)
            if key is None:
                return application(environ, start_response)
            taken = self._take(windows, watch, prefix + key, environ)
            if taken is None:
                if self.on_store_failure == "open":
                    return application(environ, start_response)
                retry = [("Retry-After", str(STORE_RETRY_S))]
                return answer_text(
                    environ, start_response, "503 Service Unavailable", "Try again later.", retry
                )
            if not taken[-1].is_allowed:
                return self._refuse(taken, environ, start_response)
            if tells_all:
                start_response = changed_head(
                    start_response, lambda status, headers: (status, [*headers, *self._fields(taken)])
                )
            return application(environ, start_response)

        return limited

    def _window(self, limit: Limit) -> Window:
        is_moving = self.window == "moving"
        if self._storage is not None:
            return StoredWindow(self._storage, limit.amount, limit.period_s, is_moving, self.fields == "all")
        return (MovingWindow if is_moving else FixedWindow)(limit.amount, limit.period_s)

    def _take(
        self, windows: list[Window], watch: StoreWatch, key: str, environ: WSGIEnvironment
    ) -> list[Taken] | None:
        """Count the request in each window, up to the first that refuses it; None without the store."""
        if not watch.may_ask():
            return None
        taken: list[Taken] = []
        try:
            for window in windows:
                taken.append(window.take(key))
                if not taken[-1].is_allowed:
                    break
        except StoreDown as error:
            if watch.failed():
                then = "let through" if self.on_store_failure == "open" else "refused with 503"
                environ["wsgi.errors"].write(
                    f"RateLimit: the store does not answer ({error}). Until it does, requests are {then}.\n"
                )
            return None
        if watch.answered():
            environ["wsgi.errors"].write("RateLimit: the store answers again.\n")
        return taken

    def _refuse(
        self, taken: list[Taken], environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        retry_s = _whole_seconds(taken[-1].reset_s)
        headers = [("Retry-After", str(retry_s)), *(self._fields(taken) if self.fields != "off" else [])]
        text = f"Too many requests. Try again in {retry_s} s."
        return answer_text(environ, start_response, "429 Too Many Requests", text, headers)

    def _fields(self, taken: list[Taken]) -> Headers:
        """RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10)."""
        policies = [f"{limit.policy};q={limit.amount};w={limit.period_s}" for limit in self.limit]
        # A limit that refused comes last: those of longer periods were not asked then.
        rest = [
            f"{limit.policy};r={found.remaining};t={_whole_seconds(found.reset_s)}"
            for limit, found in zip(self.limit, taken, strict=False)
        ]
        return [("RateLimit-Policy", ", ".join(policies)), ("RateLimit", ", ".join(rest))]


def _whole_seconds(time_s: float) -> int:
    """Rounded up: who comes back then is not refused again."""
    return max(1, -int(-time_s // 1))
