"""Fields that tell browsers to be careful: HSTS (RFC 6797), CSP, nosniff, framing, referrer."""

from __future__ import annotations

import base64
import os

from ..setting_kinds import choice, duration, field_value, switch
from .base import Middleware, Option
from .response import changed_head

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from .fields import Headers

YEAR_S = 365 * 86_400.0

# What a policy may contain; replaced with a fresh text for each request.
NONCE = "{nonce}"
# Bytes of a nonce: 128 bits, as CSP level 3 wants at least.
NONCE_BYTES = 16
NONCE_KEY = "barkeep.csp_nonce"

REFERRER_POLICIES = (
    "no-referrer",
    "no-referrer-when-downgrade",
    "origin",
    "origin-when-cross-origin",
    "same-origin",
    "strict-origin",
    "strict-origin-when-cross-origin",
    "unsafe-url",
    "off",
)


class SecurityHeaders(Middleware):
    """Adds fields that make browsers careful. A field that the application sets itself stays as it is."""

    hsts = Option(
        duration(0.0, 10 * YEAR_S), default=0.0,
        help="how long browsers must use https only (Strict-Transport-Security), sent over https; 0 is off",
    )  # fmt: skip
    hsts_subdomains = Option(switch(), default=False, help="the same for all subdomains")
    hsts_preload = Option(
        switch(), default=False,
        help="agree to be in the browsers' built-in list; needs a year of hsts and hsts_subdomains",
    )  # fmt: skip
    csp = Option(
        field_value(), default="",
        help="Content-Security-Policy; {nonce} in it becomes a fresh text per request, also in "
        'environ["barkeep.csp_nonce"]. Empty sends none',
    )  # fmt: skip
    csp_report_only = Option(
        field_value(), default="", help="the same as Content-Security-Policy-Report-Only"
    )  # fmt: skip
    nosniff = Option(switch(), default=True, help="X-Content-Type-Options: no guessing of content types")
    frame = Option(
        choice("deny", "sameorigin", "off"), default="sameorigin",
        help="X-Frame-Options: who may show a page in a frame",
    )  # fmt: skip
    referrer = Option(
        choice(*REFERRER_POLICIES), default="strict-origin-when-cross-origin",
        help="Referrer-Policy: what other sites are told about where a visitor comes from",
    )  # fmt: skip
    permissions = Option(
        field_value(), default="",
        help="Permissions-Policy: features a page may use, as geolocation=(). Empty sends none",
    )  # fmt: skip
    opener = Option(
        choice("same-origin", "same-origin-allow-popups", "unsafe-none", "off"), default="off",
        help="Cross-Origin-Opener-Policy: whether windows of other origins stay connected",
    )  # fmt: skip

    def check(self) -> None:
        if self.hsts_preload and (self.hsts < YEAR_S or not self.hsts_subdomains):
            raise self.fault("hsts_preload", "needs hsts of a year (8760h) or more, and hsts_subdomains.")

    def wrap(self, application: WSGIApplication, /) -> WSGIApplication:
        fixed, with_nonce, hsts = self._fixed_fields(), self._nonce_fields(), self._hsts_field()

        def secured(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            added = fixed + hsts if environ["wsgi.url_scheme"] == "https" else fixed
            if with_nonce:
                nonce = base64.urlsafe_b64encode(os.urandom(NONCE_BYTES)).rstrip(b"=").decode()
                environ[NONCE_KEY] = nonce
                added = added + [(name, value.replace(NONCE, nonce)) for name, value in with_nonce]

            def add(status: str, headers: Headers) -> tuple[str, Headers]:
                there = {name.lower() for name, _value in headers}
                return status, headers + [pair for pair in added if pair[0].lower() not in there]

            return application(environ, changed_head(start_response, add))

        return secured

    def _policies(self) -> list[tuple[str, str]]:
        return [
            ("Content-Security-Policy", self.csp),
            ("Content-Security-Policy-Report-Only", self.csp_report_only),
        ]

    def _fixed_fields(self) -> Headers:
        frame = "" if self.frame == "off" else self.frame.upper()
        fields = [
            ("X-Content-Type-Options", "nosniff" if self.nosniff else ""),
            ("X-Frame-Options", frame),
            ("Referrer-Policy", "" if self.referrer == "off" else self.referrer),
            ("Permissions-Policy", self.permissions),
            ("Cross-Origin-Opener-Policy", "" if self.opener == "off" else self.opener),
            *((name, value) for name, value in self._policies() if NONCE not in value),
        ]
        return [(name, value) for name, value in fields if value]

    def _nonce_fields(self) -> Headers:
        return [(name, value) for name, value in self._policies() if NONCE in value]

    def _hsts_field(self) -> Headers:
        if not self.hsts:
            return []
        # Over plain http browsers must ignore it (RFC 6797 section 7.2).
        subdomains = "; includeSubDomains" if self.hsts_subdomains else ""
        preload = "; preload" if self.hsts_preload else ""
        return [("Strict-Transport-Security", f"max-age={int(self.hsts)}{subdomains}{preload}")]
