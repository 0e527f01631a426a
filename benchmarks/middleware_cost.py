"""What each middleware costs a request it has nothing to do for: python benchmarks/middleware_cost.py

CPU microseconds per request over calling the bare application, in this process, without a server; the least
of several rounds, so that a busy machine matters little. The bar of issue 4 is 2 us each. AccessLog is never
idle: it writes its line, and a tenth of its cost is the system call.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent))

from barkeep.middleware.base import REQUIRED
from barkeep.middleware.registry import CLASSES, load_class
from tests.middleware_cases import make_environ

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

REQUESTS = 20_000
ROUNDS = 9
BAR_US = 2.0

HEADERS = [("Content-Type", "text/plain"), ("Content-Length", "13")]
BODY = b"Hello, world!"

# Settings under which a piece is there and has nothing to do. Those without an entry need none.
IDLE: dict[str, dict[str, object]] = {
    "AccessLog": {"file": os.devnull},
    "AllowedHosts": {"hosts": "127.0.0.1"},
    "BearerAuth": {
        "keys": str(Path(__file__).parent.parent / "tests" / "behaviour" / "guarded_site_keys.json"),
        "algorithms": "HS256",
        "audience": "off",
        "issuer": "off",
        "except_paths": "/",
    },
    "BasicAuth": {"users": lambda _user, _password: False, "except_paths": "/"},
    "Cors": {"origins": "https://a.example"},
    "Forwarded": {},
    "MaxBody": {"limit": "1MiB"},
    "Proxy": {"mounts": {"/elsewhere": "http://127.0.0.1:9"}},
    "RateLimit": {"limit": "1000000000/second"},
    "Static": {"mounts": {"/static": tempfile.gettempdir()}},
    "Throttle": {"concurrency": 10},
    "Timeout": {"limit": "30s"},
}


def hello(_environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """The application of the bar."""
    start_response("200 OK", HEADERS)
    return [BODY]


def main() -> None:
    """Print one line per middleware."""
    environ = make_environ(HTTP_HOST="127.0.0.1", HTTP_ACCEPT_ENCODING="gzip, deflate, br, zstd")
    # For HttpsRedirect; the others do not care.
    environ["wsgi.url_scheme"] = "https"
    bare_us = _cost_us(hello, environ)
    print(f"bare {bare_us:.2f} us")
    for name in CLASSES:
        piece = _idle_piece(name)
        if piece is not None:
            cost_us = _cost_us(piece(hello), environ) - bare_us
            print(f"{name:16} {cost_us:6.2f} us{'' if cost_us <= BAR_US else '  above the bar'}")


def _idle_piece(name: str) -> Callable[[WSGIApplication], WSGIApplication] | None:
    kind = load_class(name.lower())
    if name == "Mount":
        return kind({"/elsewhere": hello})  # type: ignore[no-any-return]
    if name not in IDLE and any(row.default is REQUIRED for row in kind.OPTIONS.values()):
        return None
    return kind(**IDLE.get(name, {}))  # type: ignore[no-any-return]


def _cost_us(application: WSGIApplication, environ: WSGIEnvironment) -> float:
    def start_response(*_head: Any) -> Any:
        return None

    best_s = float("inf")
    for _round in range(ROUNDS):
        begun_s = time.process_time()
        for _request in range(REQUESTS):
            iterable = application(environ.copy(), start_response)
            close = getattr(iterable, "close", None)
            if close is not None:
                close()
        best_s = min(best_s, time.process_time() - begun_s)
    return best_s / REQUESTS * 1e6


if __name__ == "__main__":
    main()
