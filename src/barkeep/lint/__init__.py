"""Lint: finds the rules of PEP 3333 that an application, middleware or a server breaks (`barkeep lint`).

`Lint(application)` watches while serving and in tests; `drive(application)` calls it with a set of requests.
The codes are in docs/reference/lint.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .codes import RULES as RULES
    from .driver import Report as Report
    from .driver import drive as drive
    from .driver_middleware import drive_middleware as drive_middleware
    from .record import Finding as Finding
    from .wrapper import Lint as Lint

__all__ = ["RULES", "Finding", "Lint", "Report", "drive", "drive_middleware"]

_HOMES = {
    "RULES": "codes",
    "Finding": "record",
    "Lint": "wrapper",
    "Report": "driver",
    "drive": "driver",
    "drive_middleware": "driver_middleware",
}


def __getattr__(name: str) -> object:
    # Imported when first used: --lint while serving needs no drive.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
