"""Middlewares for any WSGI server: each is configured, then wraps an application.

    application = stack(application, Compress(), RateLimit("100/minute"))

base.py says what each promises. A class is imported when its name is first used.
"""

from __future__ import annotations

# At once, and not by name as the others: importing the module later would put it in the function's place.
from .stack import MiddlewareOrderWarning, stack

__all__ = ["MiddlewareOrderWarning", "stack"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .access_log import AccessLog as AccessLog
    from .allowed_hosts import AllowedHosts as AllowedHosts
    from .base import Middleware as Middleware
    from .base import Option as Option
    from .basic_auth import BasicAuth as BasicAuth
    from .bearer_auth import BearerAuth as BearerAuth
    from .compress import Compress as Compress
    from .cors import Cors as Cors
    from .forwarded import Forwarded as Forwarded
    from .https_redirect import HttpsRedirect as HttpsRedirect
    from .max_body import MaxBody as MaxBody
    from .mount import Mount as Mount
    from .proxy import Proxy as Proxy
    from .rate_limit import RateLimit as RateLimit
    from .request_id import RequestId as RequestId
    from .security_headers import SecurityHeaders as SecurityHeaders
    from .server_timing import ServerTiming as ServerTiming
    from .static import Static as Static
    from .throttle import Throttle as Throttle
    from .timeout import Timeout as Timeout

_OTHERS = {"Middleware": "base", "Option": "base"}


def __getattr__(name: str) -> object:
    import importlib

    from .registry import CLASSES

    module_name = _OTHERS.get(name) or CLASSES.get(name)
    if module_name is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{module_name}", __name__), name)


def __dir__() -> list[str]:
    from .registry import CLASSES

    return sorted([*__all__, *_OTHERS, *CLASSES])
