"""Every middleware that passes a body on, with settings under which it has little or nothing to say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from barkeep.middleware.access_log import AccessLog
from barkeep.middleware.allowed_hosts import AllowedHosts
from barkeep.middleware.basic_auth import BasicAuth
from barkeep.middleware.bearer_auth import BearerAuth
from barkeep.middleware.compress import Compress
from barkeep.middleware.cors import Cors
from barkeep.middleware.forwarded import Forwarded
from barkeep.middleware.https_redirect import HttpsRedirect
from barkeep.middleware.max_body import MaxBody
from barkeep.middleware.mount import Mount
from barkeep.middleware.proxy import Proxy
from barkeep.middleware.rate_limit import RateLimit
from barkeep.middleware.request_id import RequestId
from barkeep.middleware.security_headers import SecurityHeaders
from barkeep.middleware.server_timing import ServerTiming
from barkeep.middleware.static import Static
from barkeep.middleware.throttle import Throttle
from barkeep.middleware.timeout import Timeout
from tests.apps import answering

if TYPE_CHECKING:
    from collections.abc import Callable

    from barkeep.middleware.registry import Piece

# A set with one key for HS256.
KEYS = str(Path(__file__).parent / "behaviour" / "guarded_site_keys.json")

# Names are those of settings, with what is special after them.
PIECES: dict[str, Callable[[], Piece]] = {
    "accesslog": lambda: AccessLog("/dev/null", format="json"),
    "allowedhosts": lambda: AllowedHosts("*.example, localhost"),
    "compress": lambda: Compress(minimum_bytes=0),
    "compress from 20 bytes": lambda: Compress("gzip", minimum_bytes=20),
    "cors": lambda: Cors("https://a.example"),
    "bearerauth": lambda: BearerAuth(
        KEYS, algorithms="HS256", audience="https://a.example", issuer="off", paths="/elsewhere"
    ),
    "basicauth": lambda: BasicAuth(lambda _user, _password: False, paths="/elsewhere"),
    "forwarded": lambda: Forwarded(),
    "httpsredirect": lambda: HttpsRedirect(),
    "httpsredirect from nowhere": lambda: HttpsRedirect(except_paths="/"),
    "maxbody": lambda: MaxBody(0),
    "mount": lambda: Mount({"/elsewhere": answering(b"elsewhere")}),
    "proxy": lambda: Proxy("/elsewhere=http://127.0.0.1:9"),
    "ratelimit": lambda: RateLimit("1000000/second", fields="all"),
    "requestid": lambda: RequestId(),
    "securityheaders": lambda: SecurityHeaders(csp="script-src 'nonce-{nonce}'"),
    "servertiming": lambda: ServerTiming(),
    "static": lambda: Static("/elsewhere=/dev"),
    "throttle": lambda: Throttle(1, queue=0),
    "throttle to a rate": lambda: Throttle(rate="1TiB"),
    "timeout": lambda: Timeout("5s"),
}
