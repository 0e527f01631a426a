"""Step 5 of 6 before the first client - requests that the application answers inside the process, to be warm.

They pay for what an application does on its first request: late imports, connections, caches, templates.
"""

from __future__ import annotations

import io
import sys

from .errors import WarmUpError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any
    from wsgiref.types import WSGIApplication

    from .settings import Settings


def warm_up(application: WSGIApplication, settings: Settings) -> None:
    """GET each path of `warm_up`, in order; answers are read to their end and thrown away.

    Raises WarmUpError for an answer that is not 2xx or 3xx, and for an application that raises.
    """
    for path in settings.warm_up:
        status = _status_of(application, _environ(path, settings))
        if status[:1] not in ("2", "3"):
            raise WarmUpError(f"--warm-up {path} must be answered with 2xx or 3xx, found {status[:80]!r}.")


def _environ(path: str, settings: Settings) -> dict[str, Any]:
    from urllib.parse import unquote_to_bytes

    before_query, _mark, query = path.partition("?")
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": settings.root_path,
        "PATH_INFO": unquote_to_bytes(before_query).decode("latin-1").removeprefix(settings.root_path),
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "localhost",
        "HTTP_USER_AGENT": "barkeep-warm-up",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": settings.threads > 1,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }


def _status_of(application: WSGIApplication, environ: dict[str, Any]) -> str:
    statuses: list[str] = []

    def start_response(status: str, _headers: object, _exc_info: object = None, /) -> Any:
        statuses.append(status)
        return lambda _data: None

    try:
        _read_to_end(application(environ, start_response))
    except Exception as error:
        import traceback

        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        path = environ["PATH_INFO"]
        raise WarmUpError(f"--warm-up {path} failed: {type(error).__name__}: {error}", text) from None
    return statuses[-1] if statuses else "no answer"


def _read_to_end(iterable: Iterable[bytes]) -> None:
    try:
        for _chunk in iterable:
            pass
    finally:
        close = getattr(iterable, "close", None)
        if close is not None:
            close()
