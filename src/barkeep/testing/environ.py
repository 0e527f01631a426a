"""A request as an application sees it, made by hand: the environ of PEP 3333, with latin-1 texts."""

from __future__ import annotations

from urllib.parse import quote, unquote_to_bytes, urlsplit

from .streams import BodyInput, ErrorText

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import WSGIEnvironment

DEFAULT_PORTS = {"http": 80, "https": 443}

# Bytes of a target that are sent as they are; the rest is percent-encoded (RFC 3986, section 3.3).
TARGET_SAFE = "/:@!$&'()*+,;=-._~%?"


def make_environ(
    method: str = "GET",
    target: str = "/",
    *,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes | Iterable[bytes] = b"",
    base_url: str = "http://localhost",
    root_path: str = "",
) -> WSGIEnvironment:
    """The environ of one request.

    target: path and query; what is not ASCII is percent-encoded as UTF-8, as browsers do.
    body: bytes give a CONTENT_LENGTH; an iterable gives none (a chunked request), and each of its pieces is
    what one read() returns at most. base_url: scheme, host and port. root_path: SCRIPT_NAME.
    """
    base = urlsplit(base_url)
    path, question, query = quote(target, safe=TARGET_SAFE).partition("?")
    script, inner = _split_path(unquote_to_bytes(path).decode("latin-1"), root_path)
    port = base.port or DEFAULT_PORTS[base.scheme]
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": script,
        "PATH_INFO": inner,
        "QUERY_STRING": query,
        "REQUEST_URI": path + question + query,
        "SERVER_NAME": base.hostname or "localhost",
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": base.netloc,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": base.scheme,
        "wsgi.input": BodyInput(body),
        "wsgi.errors": ErrorText(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if not isinstance(body, bytes):
        environ["wsgi.input_terminated"] = True
        environ["HTTP_TRANSFER_ENCODING"] = "chunked"
    elif body or method in ("POST", "PUT", "PATCH"):
        environ["CONTENT_LENGTH"] = str(len(body))
    for name, value in headers:
        _add_field(environ, name, value)
    return environ


def _split_path(path: str, root_path: str) -> tuple[str, str]:
    if root_path and (path == root_path or path.startswith(root_path + "/")):
        return root_path, path[len(root_path) :]
    return root_path, path


def _add_field(environ: WSGIEnvironment, name: str, value: str) -> None:
    """One header field; a repeated one is joined, as servers do."""
    key = name.upper().replace("-", "_")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = "HTTP_" + key
    if key in environ and key not in ("CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_HOST"):
        value = environ[key] + ("; " if key == "HTTP_COOKIE" else ",") + value
    environ[key] = value
