"""The client compared with Werkzeug's: the application sees the same request."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import Client as WerkzeugClient

from barkeep.testing import Client

# What each says about itself; of a client's address Werkzeug says nothing.
OWN = {"REMOTE_ADDR", "REQUEST_URI", "RAW_URI", "REMOTE_PORT", "HTTP_USER_AGENT"}


class Keeping:
    """An application that keeps its environ and the request body."""

    def __init__(self) -> None:
        self.environ: dict[str, Any] = {}
        self.body = b""

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        self.body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        self.environ = {key: value for key, value in environ.items() if key not in OWN and "." not in key}
        start_response("200 OK", [("Content-Type", "text/plain"), ("Set-Cookie", "a=b; Path=/")])
        return [b"answer"]


@pytest.mark.parametrize(
    ("method", "target", "ours", "theirs"),
    [
        ("GET", "/", {}, {}),
        ("GET", "/caf%C3%A9/a%2Fb?q=%20x", {}, {}),
        ("GET", "/a?b=c", {"headers": {"X-One": "1"}}, {"headers": {"X-One": "1"}}),
        ("POST", "/", {"form": {"a": ["1", "2"]}}, {"data": {"a": ["1", "2"]}}),
        ("POST", "/", {"body": b"raw"}, {"data": b"raw"}),
        (
            "PUT",
            "/",
            {"headers": {"Content-Type": "x/y"}, "body": b"raw"},
            {"content_type": "x/y", "data": b"raw"},
        ),
        ("POST", "/", {"json": {"a": [1]}}, {"json": {"a": [1]}}),
    ],
)
def test_application_sees_the_same_request(
    method: str, target: str, ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    mine, twin = Keeping(), Keeping()
    Client(mine).request(method, target, **ours)
    WerkzeugClient(twin).open(target, method=method, **theirs)
    for environ in (mine.environ, twin.environ):
        # An absent length and a length of zero mean the same, and so do an absent type and an empty one.
        for key, empty in (("CONTENT_LENGTH", "0"), ("CONTENT_TYPE", "")):
            if environ.get(key) == empty:
                del environ[key]
    assert mine.environ == twin.environ
    assert mine.body == twin.body


def test_cookies_come_back_the_same() -> None:
    mine, twin = Keeping(), Keeping()
    client, other = Client(mine), WerkzeugClient(twin)
    for _ in range(2):
        client.get("/")
        other.get("/")
    assert mine.environ["HTTP_COOKIE"] == twin.environ["HTTP_COOKIE"] == "a=b"
