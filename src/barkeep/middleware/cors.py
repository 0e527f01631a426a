"""Let pages of other origins read answers: cross-origin resource sharing (Fetch Standard, section 3.2)."""

from __future__ import annotations

import re

from ..setting_kinds import duration, switch
from .base import Middleware, Option
from .fields import members, with_vary, without
from .option_kinds import texts
from .response import answer_text, changed_head

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from .fields import Headers

ORIGIN = re.compile(
    r"\*|null|[a-z][a-z0-9+.-]*://(\*\.)?([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.ASCII
)
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)

# Fields of a page's own requests that need no permission are not listed: the Fetch Standard allows them
# always.
COMMON_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

# What this middleware says alone; an application's own answer to the same question would contradict it.
CORS_FIELDS = (
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-expose-headers",
)
PREFLIGHT_VARY = ("Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers")


def _is_token(text: str) -> bool:
    return TOKEN.fullmatch(text) is not None


class Cors(Middleware):
    """Answers preflight requests, and adds the fields that let browsers hand answers to other origins'
    pages."""

    shorthand = "origins"

    origins = Option(
        texts(
            'origins such as https://example.com or https://*.example.com, "null", or "*"',
            lambda text: ORIGIN.fullmatch(text) is not None,
        ),
        help="origins whose pages may read answers, in lower case as browsers send them",
    )  # fmt: skip
    methods = Option(texts("methods", _is_token), default=COMMON_METHODS, help="methods they may use")
    headers = Option(
        texts('names of request fields, or "*"', _is_token), default=(),
        help='request fields they may send beyond the harmless ones; "*" for any, Authorization too',
    )  # fmt: skip
    expose = Option(
        texts("names of response fields", _is_token), default=(),
        help="response fields their scripts may read beyond the harmless ones",
    )  # fmt: skip
    credentials = Option(switch(), default=False, help="whether cookies and passwords may be sent along")
    max_age = Option(
        duration(0.0, 86_400.0), default=600.0,
        help="how long browsers may remember the answer to a preflight request; Chrome caps it at two hours",
    )  # fmt: skip

    def check(self) -> None:
        if self.credentials and "*" in self.origins:
            raise self.fault(
                "credentials",
                'cannot be on for origins "*": any site could act for its visitors. Name the origins.',
            )

    def wrap(self, application: WSGIApplication, /) -> WSGIApplication:
        is_allowed = _origin_matcher(self.origins)
        is_open = "*" in self.origins
        credential = [("Access-Control-Allow-Credentials", "true")] if self.credentials else []
        expose, preflight_fields = self._answer_fields(), self._preflight_fields()
        allowed_headers = frozenset(name.lower() for name in self.headers)
        methods = frozenset(self.methods)

        def preflight(
            environ: WSGIEnvironment, start_response: StartResponse, origin: str
        ) -> Iterable[bytes]:
            asked = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", "")
            names = [name.lower() for name in members(asked)]
            vary = [("Vary", ", ".join(PREFLIGHT_VARY))]
            refusal = ""
            if not is_allowed(origin):
                refusal = "This origin is not allowed."
            elif environ["HTTP_ACCESS_CONTROL_REQUEST_METHOD"] not in methods:
                refusal = "This method is not allowed to other origins."
            elif "*" not in allowed_headers and not allowed_headers.issuperset(names):
                refusal = "A request field is not allowed to other origins."
            if refusal:
                # Without the fields the browser refuses; the text is for the developer who looks.
                return answer_text(environ, start_response, "403 Forbidden", refusal, vary)
            # The names as asked for: "*" would not mean Authorization, nor anything with credentials.
            allowed = (
                [("Access-Control-Allow-Headers", ", ".join(names))]
                if all(map(_is_token, names)) and names
                else []
            )
            start_response("204 No Content", [*vary, *origin_fields(origin), *preflight_fields, *allowed])
            return []

        def origin_fields(origin: str) -> Headers:
            return [("Access-Control-Allow-Origin", "*" if is_open else origin), *credential]

        def shared(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            origin = environ.get("HTTP_ORIGIN", "")
            if (
                origin
                and environ["REQUEST_METHOD"] == "OPTIONS"
                and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
            ):
                return preflight(environ, start_response, origin)
            added = origin_fields(origin) + expose if is_open or (origin and is_allowed(origin)) else []

            def add(status: str, headers: Headers) -> tuple[str, Headers]:
                headers = without(headers, *CORS_FIELDS) + added
                # With one answer for all, caches need not tell origins apart.
                return status, headers if is_open else with_vary(headers, "Origin")

            return application(environ, changed_head(start_response, add))

        return shared

    def _answer_fields(self) -> Headers:
        return [("Access-Control-Expose-Headers", ", ".join(self.expose))] if self.expose else []

    def _preflight_fields(self) -> Headers:
        return [
            ("Access-Control-Allow-Methods", ", ".join(self.methods)),
            ("Access-Control-Max-Age", str(int(self.max_age))),
        ]


def _origin_matcher(origins: tuple[str, ...]) -> Callable[[str], bool]:
    exact = frozenset(origins)
    patterns = [
        re.compile(re.escape(origin).replace(r"\*", r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"), re.ASCII)
        for origin in origins
        if "://*." in origin
    ]

    def is_allowed(origin: str) -> bool:
        if origin in exact or "*" in exact:
            return True
        return any(pattern.fullmatch(origin) for pattern in patterns)

    return is_allowed
