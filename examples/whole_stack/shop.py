"""The application: a JSON API, a stream, and pages for members and partners.

It knows nothing of compression, passwords, limits or other origins: the tables of barkeep.toml put those
around it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, jsonify, request

app = Flask(__name__)

DRINKS: list[dict[str, Any]] = [
    {"id": number, "name": f"{age} years from {place}", "age": age, "place": place, "price": 20 + 3 * age}
    for number, (age, place) in enumerate(
        (age, place) for age in (8, 10, 12, 15, 18, 21, 25) for place in ("Islay", "Speyside", "Campbeltown")
    )
]

# Where a visitor's orders are counted. Not signed: nothing depends on it.
ORDERS_COOKIE = "orders"


@app.get("/api/drinks")
def drinks() -> Response:
    """The list, with an ETag: a browser that has it is told 304."""
    response = jsonify(DRINKS)
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    response.make_conditional(request)
    # Werkzeug adds it; the server has a newer one (barkeep lint: BK127).
    response.headers.remove("Date")
    return response


@app.get("/api/orders")
def orders() -> Response:
    """How much this visitor has ordered, as the cookie says."""
    response = jsonify(orders=int(request.cookies.get(ORDERS_COOKIE, "0")))
    response.headers["Cache-Control"] = "no-store"
    return response


@app.post("/api/orders")
def order() -> Response | tuple[Response, int]:
    """Take an order: {"drink": ID}."""
    asked = request.get_json()
    if not isinstance(asked, dict) or asked.get("drink") not in range(len(DRINKS)):
        return jsonify(error="drink must be the id of a drink"), 400
    count = int(request.cookies.get(ORDERS_COOKIE, "0")) + 1
    response = jsonify(orders=count, drink=DRINKS[asked["drink"]]["name"])
    response.set_cookie(ORDERS_COOKIE, str(count), httponly=True, samesite="Lax")
    return response


@app.get("/api/pour")
def pour() -> Response:
    """A stream: one JSON line for each drop, sent before the next is made."""
    drops = request.args.get("drops", 10, type=int)

    def lines() -> Iterator[str]:
        for drop in range(drops):
            yield json.dumps({"drop": drop, "of": drops}) + "\n"

    return Response(lines(), mimetype="application/x-ndjson")


@app.get("/members/")
def members() -> str:
    """Only for those who BasicAuth has let in."""
    return f"Good evening, {request.environ['REMOTE_USER']}.\n"


@app.get("/partners/prices")
def prices() -> Response:
    """Only for those with a token that BearerAuth has checked: the list at their price."""
    partner = request.environ["barkeep.claims"]["sub"]
    return jsonify(partner=partner, prices=[drink["price"] * 4 // 5 for drink in DRINKS])
