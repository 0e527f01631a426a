"""Middlewares for any WSGI server: each is configured, then wraps an application.

    application = stack(application, Compress(), RateLimit("100/minute"))

base.py says what each promises. A class is imported when its name is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .base import Middleware as Middleware
    from .base import Option as Option
    from .stack import stack as stack

_OTHERS = {"Middleware": "base", "Option": "base", "MiddlewareOrderWarning": "stack", "stack": "stack"}


def __getattr__(name: str) -> object:
    import importlib

    from .registry import CLASSES

    module_name = _OTHERS.get(name) or CLASSES.get(name)
    if module_name is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{module_name}", __name__), name)


def __dir__() -> list[str]:
    from .registry import CLASSES

    return sorted([*_OTHERS, *CLASSES])
