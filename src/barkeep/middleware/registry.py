"""Names of middlewares, as settings files and the command line use them, and what they stand for."""

from __future__ import annotations

import importlib

from ..app_loader import user_traceback
from ..errors import AppImportError, SettingError
from ..setting import nearest_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any
    from wsgiref.types import WSGIApplication

    # A configured middleware: ours, or anything else that takes an application and returns one.
    Piece = Callable[[WSGIApplication], WSGIApplication]

# Class name -> module below barkeep.middleware. The name in settings is the class name in lower case.
CLASSES = {
    "AccessLog": "access_log",
    "AllowedHosts": "allowed_hosts",
    "BasicAuth": "basic_auth",
    "BearerAuth": "bearer_auth",
    "Compress": "compress",
    "Cors": "cors",
    "Forwarded": "forwarded",
    "HttpsRedirect": "https_redirect",
    "MaxBody": "max_body",
    "Mount": "mount",
    "Proxy": "proxy",
    "RateLimit": "rate_limit",
    "RequestId": "request_id",
    "SecurityHeaders": "security_headers",
    "ServerTiming": "server_timing",
    "Static": "static",
    "Throttle": "throttle",
    "Timeout": "timeout",
}
NAMES = {name.lower(): name for name in CLASSES}


def load_class(name: str) -> Any:
    """The class of a name such as "compress", or of a third party's "module:Class".

    Raises SettingError when there is none, or a library that it needs is missing.
    """
    if name in NAMES:
        module = importlib.import_module(f".{CLASSES[NAMES[name]]}", __package__)
        return getattr(module, NAMES[name])
    module_name, colon, class_name = name.partition(":")
    if not colon:
        names = sorted(NAMES)
        raise SettingError(
            f'there is no middleware "{name}".{nearest_name(name, names)} '
            f"There are {', '.join(names)}, and module:Class for others."
        )
    try:
        return getattr(importlib.import_module(module_name), class_name)
    except ImportError as error:
        raise SettingError(f'cannot load middleware "{name}": {error}.') from error
    except AttributeError:
        raise SettingError(
            f'cannot load middleware "{name}": module "{module_name}" has no name "{class_name}".'
        ) from None
    except (Exception, SystemExit) as error:
        raise _failed(name, f"importing {module_name}", error) from error


def make_piece(name: str, settings: Mapping[str, object]) -> Piece:
    """A configured middleware from its name and settings. Raises SettingError.

    A class of a third party that is no subclass of Middleware is taken for the usual kind, which is called
    with the application first and its settings by name.
    """
    from .base import Middleware

    found = load_class(name)
    if isinstance(found, type) and issubclass(found, Middleware):
        return found(**settings)
    if not callable(found):
        raise SettingError(f'middleware "{name}" cannot be called: it is of type {type(found).__name__}.')

    def wrap(application: WSGIApplication) -> WSGIApplication:
        try:
            made: WSGIApplication = found(application, **settings)
        except (Exception, SystemExit) as error:
            raise _failed(name, "calling it with the application", error) from error
        return made

    return wrap


def _failed(name: str, what: str, error: BaseException) -> AppImportError:
    message = f'cannot use middleware "{name}": {what} raised {type(error).__name__}: {error}.'
    return AppImportError(message, user_traceback(error))


def parse_piece(text: str) -> tuple[str, dict[str, object]]:
    """What `NAME`, `NAME:TEXT`, `module:Class` or `module:Class:TEXT` names: (name, settings).

    TEXT is the value of the option that the class calls its shorthand. Raises SettingError.
    """
    from .base import Middleware

    parts = text.split(":", 1) if text.partition(":")[0] in NAMES else text.split(":", 2)
    is_ours = parts[0] in NAMES
    name = parts[0] if is_ours else ":".join(parts[:2])
    shorthand = parts[1:] if is_ours else parts[2:]
    if not shorthand:
        return name, {}
    found = load_class(name)
    option = found.shorthand if isinstance(found, type) and issubclass(found, Middleware) else ""
    if not option:
        raise SettingError(
            f'middleware "{name}" takes no text after its name, found "{shorthand[0]}". '
            "Give its settings in a [[middleware]] table."
        )
    return name, {option: shorthand[0]}
