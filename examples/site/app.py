"""The example: a small Flask site with a page, a form, a file upload, a streamed response and static files.

Serve it with `./dev example`, or from this directory with `barkeep app:app`.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Iterator

from flask import Flask, Response, flash, redirect, render_template, request, stream_with_context, url_for
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response as AnyResponse

app = Flask(__name__)
# Signs the cookie that carries one-time messages. A real site reads its key from outside the source.
app.secret_key = "only for the example"

DRINKS = ("Old Fashioned", "Negroni", "Whiskey Sour", "Ginger Beer", "Sparkling Water")
LONGEST_NAME = 40

# Steps of a pour and the pause between two, in seconds: slow enough to see that they arrive one by one.
POUR_STEPS = 8
POUR_PAUSE_S = 0.4

# Bytes of an upload held in memory at once.
UPLOAD_CHUNK_BYTES = 64 * 1024

# Orders of this process, newest first. Any application thread may touch it, with orders_lock held.
orders: deque[tuple[str, str]] = deque(maxlen=20)
orders_lock = threading.Lock()


@app.get("/")
def bar() -> str:
    """The page: what there is, what was ordered, and a form for each thing to try."""
    with orders_lock:
        latest = list(orders)
    return render_template("bar.html", drinks=DRINKS, orders=latest, longest_name=LONGEST_NAME)


@app.post("/orders")
def order() -> AnyResponse | tuple[str, int]:
    """The form: take an order and show the page again (POST, redirect, GET)."""
    name = request.form.get("name", "").strip()[:LONGEST_NAME]
    drink = request.form.get("drink", "")
    if not name or drink not in DRINKS:
        return "An order needs a name and a drink of the list.\n", 400
    with orders_lock:
        orders.appendleft((name, drink))
    flash(f"One {drink} for {name}, coming up.")
    return redirect(url_for("bar"), code=303)


@app.post("/uploads")
def upload() -> str | tuple[str, int]:
    """The upload: read the file in pieces, keep none of it, and show what arrived."""
    sent = request.files.get("file")
    if sent is None or not sent.filename:
        return "Choose a file first.\n", 400
    size_bytes, checksum = measure(sent)
    return render_template("upload.html", name=sent.filename, size_bytes=size_bytes, checksum=checksum)


def measure(sent: FileStorage) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a file, never holding more of it than one chunk."""
    size_bytes, checksum = 0, hashlib.sha256()
    while chunk := sent.stream.read(UPLOAD_CHUNK_BYTES):
        size_bytes += len(chunk)
        checksum.update(chunk)
    return size_bytes, checksum.hexdigest()


@app.get("/pour")
def pour() -> Response:
    """The stream: a glass that fills while you watch; each line is sent before the next is made."""

    def lines() -> Iterator[str]:
        for step in range(POUR_STEPS + 1):
            yield f"|{'#' * step}{' ' * (POUR_STEPS - step)}|\n"
            if step < POUR_STEPS:
                time.sleep(POUR_PAUSE_S)
        yield "Cheers.\n"

    return Response(stream_with_context(lines()), mimetype="text/plain")
