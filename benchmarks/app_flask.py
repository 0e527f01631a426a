"""Benchmark application - hello through Flask, as its quickstart writes it."""

from flask import Flask, Response

app = Flask(__name__)


@app.get("/")
def hello() -> Response:
    """13 bytes, plain text."""
    return Response("Hello, World!", content_type="text/plain")
