"""Makes what the site serves, in the directory "made": python make_site.py

Pages whose script and style sheet have a hash of their content in their names and are compressed already, a
video, a file of users and a key for tokens. What is there is replaced.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import secrets
from pathlib import Path

import bcrypt
import brotli  # type: ignore[import-untyped]
import zstandard
from make_video import video

HERE = Path(__file__).parent
PAGES = HERE / "pages"
MADE = HERE / "made"

# Who may see the members' page. A real site asks for the password, and keeps it nowhere.
USER, PASSWORD = "ada", "lovelace"


def main() -> None:
    """Make all of it."""
    shop = MADE / "shop"
    shop.mkdir(parents=True, exist_ok=True)
    page = (PAGES / "index.html").read_text("utf-8")
    for name in ("shop.js", "shop.css"):
        page = page.replace(name, add_asset(shop, name))
    (shop / "index.html").write_text(page, "utf-8")
    (shop / "tasting.webm").write_bytes(video())
    password_hash = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()
    (MADE / "users").write_text(f"{USER}:{password_hash}\n")
    (MADE / "keys.json").write_text(json.dumps({"keys": [new_key()]}))


def add_asset(shop: Path, name: str) -> str:
    """Write one asset with its hash in the name, and its compressed siblings; the result is the name."""
    content = (PAGES / name).read_bytes()
    stem, _dot, ending = name.partition(".")
    for old in shop.glob(f"{stem}.*.{ending}*"):
        old.unlink()
    hashed = f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{ending}"
    (shop / hashed).write_bytes(content)
    (shop / f"{hashed}.gz").write_bytes(gzip.compress(content, 9, mtime=0))
    (shop / f"{hashed}.br").write_bytes(brotli.compress(content))
    (shop / f"{hashed}.zst").write_bytes(zstandard.compress(content, 19))
    return hashed


def new_key() -> dict[str, str]:
    """A fresh key of 32 bytes for HS256 (RFC 7518 section 6.4). Who has it can make tokens."""
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    return {"kty": "oct", "alg": "HS256", "kid": "example", "k": key}


if __name__ == "__main__":
    main()
