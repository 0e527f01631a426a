"""Send clients that come by http to https (RFC 9110 section 15.4)."""

from __future__ import annotations

from ..setting_kinds import choice, whole_number
from .allowed_hosts import is_host_pattern
from .base import Middleware, Option
from .option_kinds import texts
from .paths import host_and_port, is_below, is_path, quoted_path
from .response import answer_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

HTTPS_PORT = 443
STATUSES = {
    "301": "301 Moved Permanently",
    "302": "302 Found",
    "307": "307 Temporary Redirect",
    "308": "308 Permanent Redirect",
}


class HttpsRedirect(Middleware):
    """Redirects http requests to the same address with https; what is https already passes through."""

    shorthand = "host"

    host = Option(
        texts("one host name, or empty for that of the request", is_host_pattern),
        default=(),
        help="host to redirect to; without it the Host field says, so put AllowedHosts outside",
    )  # fmt: skip
    port = Option(whole_number(1, 65535), default=HTTPS_PORT, help="port of https")
    status = Option(
        choice(*STATUSES), default="308",
        help="308 and 307 keep the method and the body; 301 and 308 are remembered by browsers",
    )  # fmt: skip
    except_paths = Option(
        texts("paths such as /health", is_path),
        default=("/.well-known/acme-challenge",),
        help="paths that are served by http too",
    )  # fmt: skip

    def check(self) -> None:
        if len(self.host) > 1 or "*" in "".join(self.host):
            raise self.fault("host", f"must be one host, found {', '.join(self.host)}.")

    def wrap(self, application: WSGIApplication, /) -> WSGIApplication:
        fixed_host = self.host[0] if self.host else ""
        port = "" if self.port == HTTPS_PORT else f":{self.port}"
        status, except_paths = STATUSES[self.status], self.except_paths

        def redirected(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if environ["wsgi.url_scheme"] == "https" or is_below(environ.get("PATH_INFO", ""), except_paths):
                return application(environ, start_response)
            found = host_and_port(environ)
            host = fixed_host or (found[0] if found else "")
            if not host:
                return answer_text(environ, start_response, "400 Bad Request", "A Host field is needed.")
            query = environ.get("QUERY_STRING", "")
            location = f"https://{host}{port}{quoted_path(environ)}{'?' if query else ''}{query}"
            return answer_text(environ, start_response, status, location, [("Location", location)])

        return redirected
