"""A site behind the middlewares that guard and pass on, for any WSGI server."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from barkeep.middleware.basic_auth import BasicAuth
from barkeep.middleware.bearer_auth import BearerAuth
from barkeep.middleware.forwarded import Forwarded
from barkeep.middleware.https_redirect import HttpsRedirect
from barkeep.middleware.proxy import Proxy
from barkeep.middleware.rate_limit import RateLimit
from barkeep.middleware.stack import stack
from barkeep.middleware.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

# A set with one key, for HS256, that the test signs with.
KEYS = Path(__file__).with_name("guarded_site_keys.json")

AUDIENCE = "https://guarded.example"

# The variable that names the upstream: other processes serve this site too.
UPSTREAM = "GUARDED_SITE_UPSTREAM"


def inner(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Tells the texts of the environ."""
    texts = {key: value for key, value in environ.items() if isinstance(value, str)}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"environ": texts}).encode()]


def __getattr__(name: str) -> WSGIApplication:
    """`application`, made anew whenever it is asked for: the test sets the variable before."""
    if name != "application":
        raise AttributeError(name)
    return stack(
        inner,
        Forwarded(believe="x-forwarded-for,x-forwarded-proto"),
        HttpsRedirect(except_paths="/limited,/private,/api,/up,/down"),
        RateLimit("2/hour", key="address,path", paths="/limited"),
        Throttle(4, key="path", queue=4, rate="1GiB"),
        BasicAuth(lambda user, password: (user, password) == ("ada", "lovelace"), paths="/private"),
        BearerAuth(str(KEYS), algorithms="HS256", audience=AUDIENCE, issuer="off", paths="/api"),
        Proxy({"/up": os.environ[UPSTREAM], "/down": "http://127.0.0.1:1"}),
    )
