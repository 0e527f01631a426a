"""Another application, mounted in the first at /labels: a label as a picture. Plain WSGI, no framework."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="240" height="80">'
    '<rect width="240" height="80" fill="#e8d8b0"/><text x="20" y="48">{text}</text></svg>'
)


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """/NAME.svg is a label with the name on it."""
    name = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace").removeprefix("/")
    if not name.endswith(".svg"):
        start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{environ['SCRIPT_NAME']} has only .svg\n".encode()]
    body = PICTURE.format(text=escape(name.removesuffix(".svg"))).encode()
    start_response("200 OK", [("Content-Type", "image/svg+xml"), ("Content-Length", str(len(body)))])
    return [body]
