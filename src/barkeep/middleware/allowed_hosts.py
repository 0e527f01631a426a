"""Answer only for the hosts that are ours: a forged Host field goes into links, caches and mails of an
application."""

from __future__ import annotations

import re

from .base import Middleware, Option
from .option_kinds import texts
from .paths import host_and_port, is_below, is_path
from .response import answer_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

ALLOWED = re.compile(r"\*|(\*?\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]", re.ASCII)


def is_host_pattern(text: str) -> bool:
    """Whether a text is a host, *.host or "*"."""
    return ALLOWED.fullmatch(text) is not None


class AllowedHosts(Middleware):
    """Refuses requests for other hosts with 400. The port does not count."""

    shorthand = "hosts"

    hosts = Option(
        texts('names such as example.com, *.example.com for subdomains, or "*"', is_host_pattern),
        help="hosts to answer for; *.example.com is every subdomain, without example.com itself",
    )  # fmt: skip
    except_paths = Option(
        texts("paths such as /health", is_path), default=(),
        help="paths that any host may ask for, such as those of health checks",
    )  # fmt: skip

    def wrap(self, application: WSGIApplication, /) -> WSGIApplication:
        hosts = [host.lower() for host in self.hosts]
        names = frozenset(hosts)
        endings = tuple(host.removeprefix("*") for host in hosts if host.startswith(("*.", ".")))
        except_paths = self.except_paths
        if "*" in names:
            return application

        def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            found = host_and_port(environ)
            if found is not None and (found[0] in names or found[0].endswith(endings)):
                return application(environ, start_response)
            if except_paths and is_below(environ.get("PATH_INFO", ""), except_paths):
                return application(environ, start_response)
            return answer_text(environ, start_response, "400 Bad Request", "This host is not served here.")

        return guarded
