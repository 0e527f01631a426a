"""Forwarded: who the client is and what it asked for, as told by trusted proxies and by nobody else."""

from __future__ import annotations

from .base import Middleware, Option
from .forwarded_fields import (
    client_of_elements,
    client_of_list,
    environ_key,
    last_of,
    parse_host,
    parse_port,
    parse_prefix,
)
from .networks import LOOPBACK, networks
from .option_kinds import texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from .forwarded_fields import Node

    Texts = dict[str, str]

ORIGINAL = "barkeep.forwarded.original"

X_FIELDS = (
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
)
STANDARD_FIELD = "forwarded"

# What applications and frameworks believe about the client or its request. None of it stays: what
# is true has been put in its place in the environ, and an application that read the field too would apply it
# twice.
ALWAYS_REMOVED = (
    *X_FIELDS,
    STANDARD_FIELD,
    "x-forwarded-by",
    "x-forwarded-protocol",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "front-end-https",
    "x-scheme",
    "x-script-name",
    "x-url-scheme",
)

DEFAULT_PORTS = {"http": "80", "https": "443"}


def _is_field_name(text: str) -> bool:
    return text.replace("-", "").isalnum() and text.isascii()


class Forwarded(Middleware):
    """Put the client's address, scheme, host, port and prefix in the environ, as trusted proxies tell them.

    A peer that is not trusted is the client itself, whatever it writes. All such fields are taken away,
    and stand with what was replaced in `barkeep.forwarded.original`, by environ key.
    """

    shorthand = "trusted"

    trusted = Option(
        networks(),
        default=networks().read(LOOPBACK),
        help="who may tell about the client: addresses of proxies; unix is any peer of a unix socket",
    )
    believe = Option(
        texts(
            f"some of {', '.join(X_FIELDS)}, or {STANDARD_FIELD} alone",
            lambda text: text in (*X_FIELDS, STANDARD_FIELD),
        ),
        default=("x-forwarded-for", "x-forwarded-proto"),
        help="the fields that every trusted proxy sets or appends to, so that no client's own comes through",
    )
    also_remove = Option(
        texts("names of fields, such as x-forwarded-user", _is_field_name),
        default=(),
        help="further fields that only a trusted proxy may send; taken away from anybody else's requests",
    )

    def check(self) -> None:
        """Raises SettingError when both families of fields are believed: one of them is then the client's."""
        if STANDARD_FIELD in self.believe and len(self.believe) > 1:
            raise self.fault(
                "believe",
                "must not mix forwarded with X-Forwarded fields: a proxy that sets one lets the other pass "
                "as the client sent it. Name what your proxy sets.",
            )

    def wrap(self, application: WSGIApplication) -> WSGIApplication:
        """The application with the client's own view of the request in its environ."""
        trusted, believed = self.trusted, frozenset(self.believe)
        always = frozenset(map(environ_key, ALWAYS_REMOVED))
        guarded = frozenset(map(environ_key, self.also_remove))
        any_removed = always | guarded

        def forwarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if not any_removed.isdisjoint(environ):
                is_trusted = environ.get("REMOTE_ADDR", "") in trusted
                removed = always if is_trusted else any_removed
                fields = {key: environ.pop(key) for key in removed if key in environ}
                original = environ.setdefault(ORIGINAL, {})
                original.update(fields)
                if is_trusted:
                    told = self._told(fields, environ, believed)
                    original.update({key: environ[key] for key in told if key in environ})
                    environ.update(told)
            return application(environ, start_response)

        return forwarded

    def _told(self, fields: Texts, environ: WSGIEnvironment, believed: frozenset[str]) -> Texts:
        """What the believed fields change in the environ, by key."""
        if STANDARD_FIELD in believed:
            if (value := fields.get("HTTP_FORWARDED")) is None:
                return {}
            node, pairs = client_of_elements(value, self.trusted)
            told = _target(environ, pairs.get("proto", ""), pairs.get("host", ""), "")
            return {**told, **_client(environ, node)}

        def found(name: str) -> str:
            return fields.get(environ_key(name), "") if name in believed else ""

        proto, host, port, prefix = (last_of(found(name)) for name in X_FIELDS[1:])
        told = _target(environ, proto, host, port)
        if addresses := found("x-forwarded-for"):
            told.update(_client(environ, client_of_list(addresses, self.trusted)))
        if path := parse_prefix(prefix):
            told["SCRIPT_NAME"] = path + environ.get("SCRIPT_NAME", "")
        return told


def _client(environ: WSGIEnvironment, node: Node | None) -> Texts:
    """Address and port of the client, both empty when no proxy knows them: never those of a proxy."""
    address, port = node or ("", "")
    told = {"REMOTE_ADDR": address, "REMOTE_PORT": port}
    return {**told, "REMOTE_HOST": address} if "REMOTE_HOST" in environ else told


def _target(environ: WSGIEnvironment, proto: str, host: str, port: str) -> Texts:
    """The parts of the URL that the client used, and a Host field to match (PEP 3333, URL Reconstruction).

    What is no scheme, host or port is as if it had not been sent.
    """
    told: Texts = {}
    scheme = proto.lower()
    if scheme in DEFAULT_PORTS:
        told["wsgi.url_scheme"] = scheme
        if scheme == "https" or "HTTPS" in environ:
            told["HTTPS"] = "on" if scheme == "https" else "off"
    else:
        scheme = environ["wsgi.url_scheme"]
    here = parse_host(host)
    if here is not None:
        told["SERVER_NAME"] = here[0]
    there = here or parse_host(environ.get("HTTP_HOST", ""))
    told_port = parse_port(port)
    default_port = DEFAULT_PORTS.get(scheme, "")
    if there is not None and (told or told_port):
        name, host_port = there
        new_port = told_port or host_port or default_port
        told["HTTP_HOST"] = name if new_port == default_port else f"{name}:{new_port}"
        told["SERVER_PORT"] = new_port
    elif told_port:
        told["SERVER_PORT"] = told_port
    return told
