"""Prints a token for the partners' API, good for an hour: python make_token.py NAME"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import jwt

AUDIENCE = "https://shop.example"
HOUR_S = 3600


def main() -> None:
    """Sign a token with the site's key, as an identity provider would."""
    keys = json.loads((Path(__file__).parent / "made" / "keys.json").read_text())["keys"]
    claims = {"sub": sys.argv[1], "aud": AUDIENCE, "exp": int(time.time()) + HOUR_S}
    print(jwt.encode(claims, jwt.PyJWK(keys[0]).key, "HS256", headers={"kid": keys[0]["kid"]}))


if __name__ == "__main__":
    main()
