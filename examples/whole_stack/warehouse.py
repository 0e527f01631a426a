"""Somebody else's server: the upstream behind /stock of the shop, and a page of another origin that reads the
shop's API."""

from __future__ import annotations

from typing import TYPE_CHECKING
from wsgiref.util import request_uri

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

PAGE = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>The warehouse</title>
<h1>The warehouse</h1>
<p>The shop has <b id="count">...</b> drinks.</p>
<script>
fetch("http://localhost:8000/api/drinks").then(answer => answer.json())
  .then(drinks => { document.getElementById("count").textContent = drinks.length })
</script>
"""

PIECE_BYTES = 64 * 1024


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """/ is the page; /stock tells how it was asked; a POST there is sent back as it comes."""
    if environ["PATH_INFO"] == "/":
        start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(PAGE)))])
        return [PAGE]
    if environ["REQUEST_METHOD"] == "POST":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return pieces(environ)
    client = environ.get("HTTP_X_FORWARDED_FOR", "nobody")
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{request_uri(environ)} for {client}\n".encode()]


def pieces(environ: WSGIEnvironment) -> Iterator[bytes]:
    """The body of the request, never more than a piece of it in memory."""
    body, length = environ["wsgi.input"], environ.get("CONTENT_LENGTH")
    if not length and environ.get("wsgi.input_terminated"):
        # In chunks: nobody knows how many bytes, and the server ends the stream.
        yield from iter(lambda: body.read(PIECE_BYTES), b"")
    bytes_left = int(length or 0)
    while bytes_left and (piece := body.read(min(PIECE_BYTES, bytes_left))):
        bytes_left -= len(piece)
        yield piece
