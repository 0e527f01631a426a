"""Several applications in one: by path prefix, by host, or by both (PEP 3333, environ Variables)."""

from __future__ import annotations

import re

from ..setting import Kind
from .allowed_hosts import is_host_pattern
from .base import Middleware, Option
from .paths import host_and_port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    # Host pattern or "", path prefix without a slash at its end, application or target.
    Place = tuple[str, str, "WSGIApplication | str"]

PREFIX = re.compile(r"(/[^/\s?#]+)*/?")


def _places() -> Kind[tuple[Place, ...]]:
    """A table of places and applications. The more exact place comes first."""

    def read(found: object) -> tuple[Place, ...]:
        if isinstance(found, str):
            pairs = [text.strip(" ").partition("=")[::2] for text in found.split(",")]
            found = dict(pairs)
        if not isinstance(found, dict) or not found:
            raise ValueError
        places: list[Place] = []
        for key, application in found.items():
            host, slash, rest = key.partition("/") if isinstance(key, str) else ("", "", "")
            prefix = slash + rest
            if not (host or slash) or not PREFIX.fullmatch(prefix) or (host and not is_host_pattern(host)):
                raise ValueError(f"{key!a} is neither a path, a host nor both")
            if not callable(application) and not (isinstance(application, str) and ":" in application):
                raise ValueError(f"{key!a} has no application")
            places.append((host.lower(), prefix.rstrip("/"), application))
        # Hosts before patterns before paths alone; the longer path first.
        return tuple(sorted(places, key=lambda place: (not place[0], "*" in place[0], -len(place[1]))))

    def show(value: tuple[Place, ...]) -> str:
        return ",".join(f"{host}{prefix or '/'}={_name_of(target)}" for host, prefix, target in value)

    allowed = 'a table such as {"/api" = "api:app", "admin.example.com" = "admin:app"}'
    return Kind(allowed, "PLACE=TARGET", read, show, is_list=True)


def _name_of(target: object) -> str:
    return target if isinstance(target, str) else getattr(target, "__qualname__", type(target).__name__)


class Mount(Middleware):
    """Hands requests to other applications by where they go; the application that it wraps gets the rest.

    The prefix moves from PATH_INFO to the end of SCRIPT_NAME, so that the other application makes right
    links. A place is a prefix ("/api"), a host ("admin.example.com", "*.example.com") or both
    ("example.com/api").
    """

    shorthand = "places"

    places = Option(
        _places(),
        help="applications by place; each is an application, or a target such as module:app",
    )  # fmt: skip

    def wrap(self, application: WSGIApplication, /) -> WSGIApplication:
        places = [(host, prefix, _loaded(target)) for host, prefix, target in self.places]
        has_hosts = any(host for host, _prefix, _application in places)

        def mounted(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            path = environ.get("PATH_INFO", "")
            found = host_and_port(environ) if has_hosts else None
            for host, prefix, other in places:
                if host and not (found is not None and _fits(host, found[0])):
                    continue
                if path == prefix or path.startswith(f"{prefix}/"):
                    environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + prefix
                    environ["PATH_INFO"] = path[len(prefix) :]
                    return other(environ, start_response)
                if host and not prefix:
                    # The path "*" of OPTIONS, or none: the host alone decides.
                    return other(environ, start_response)
            return application(environ, start_response)

        return mounted


def _fits(pattern: str, host: str) -> bool:
    if pattern.startswith(("*", ".")):
        return host.endswith(pattern.removeprefix("*"))
    return host == pattern


def _loaded(target: WSGIApplication | str) -> WSGIApplication:
    if not isinstance(target, str):
        return target
    # Imported here: only settings files name applications by text.
    from ..app_loader import load_application

    return load_application(target)
