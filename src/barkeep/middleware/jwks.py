"""Public keys of who signs tokens: a JWK set (RFC 7517) from a file or an https URL, read again in time."""

from __future__ import annotations

import threading
import time
from urllib.parse import urlsplit

from .libraries import library

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    # Keys by (key id, algorithm); the id is "" for keys without one.
    Keys = dict[tuple[str, str], list[Any]]

# Largest set that is read, in bytes: real ones have a few KiB.
MAX_SET_BYTES = 256 * 1024
# Shortest time between two looks for a key id that nobody knows, in seconds: tokens come from anybody, and
# must not make us ask for each. After a failure we ask again as soon.
LOOK_AGAIN_S = 10.0

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")

# Algorithms that may be pinned, and the keys they take (RFC 7518 sections 3.1 and 6, RFC 8037).
KEY_TYPES = {
    "RS256": ("RSA", ""),
    "RS384": ("RSA", ""),
    "RS512": ("RSA", ""),
    "PS256": ("RSA", ""),
    "PS384": ("RSA", ""),
    "PS512": ("RSA", ""),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
    "HS256": ("oct", ""),
    "HS384": ("oct", ""),
    "HS512": ("oct", ""),
}
PRIVATE_MEMBERS = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth"))


class NoKeysError(Exception):
    """There are no keys to check anything with. The text says why."""


def parse_keys(text: bytes, algorithms: tuple[str, ...]) -> Keys:
    """The keys of a set that these algorithms can use. Raises ValueError when there is none."""
    import json

    jwt = library("jwt", "auth", "BearerAuth")
    found = json.loads(text)
    members = found.get("keys") if isinstance(found, dict) else None
    keys: Keys = {}
    for member in members if isinstance(members, list) else []:
        if not isinstance(member, dict) or member.get("use", "sig") != "sig":
            continue
        public = {name: value for name, value in member.items() if name not in PRIVATE_MEMBERS}
        for algorithm in algorithms:
            kind, curve = KEY_TYPES[algorithm]
            if public.get("kty") != kind or public.get("crv", "") != curve:
                continue
            if public.get("alg", algorithm) != algorithm:
                continue
            try:
                key = jwt.PyJWK(public, algorithm=algorithm).key
            except jwt.PyJWTError:
                # A set may hold keys for others.
                continue
            keys.setdefault((str(public.get("kid", "")), algorithm), []).append(key)
    if not keys:
        raise ValueError(f"it has no key for {', '.join(algorithms)}")
    return keys


def check_source(source: str) -> None:
    """Raises ValueError for a URL that anybody on the way could answer."""
    parts = urlsplit(source)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
        raise ValueError("keys must come over https")


def is_url(source: str) -> bool:
    """Whether it is fetched and not opened."""
    return source.startswith(("https://", "http://"))


def fetch(url: str, timeout_s: float) -> bytes:
    """What the URL has. Raises OSError, also when it takes longer than timeout_s or is too large.

    Finding the address by name is not bounded. Redirects are followed to https only.
    """
    import http.client
    import urllib.error
    import urllib.request

    class SafeRedirects(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
            if not newurl.startswith("https://"):
                raise OSError(f"it is redirected to {newurl!a}, which is not https")
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    until_s = time.monotonic() + timeout_s
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - http or https
    text = b""
    try:
        with urllib.request.build_opener(SafeRedirects).open(request, timeout=timeout_s) as response:
            while piece := response.read1(64 * 1024):
                text += piece
                if len(text) > MAX_SET_BYTES:
                    raise OSError(f"it is larger than {MAX_SET_BYTES} bytes")
                if time.monotonic() > until_s:
                    raise TimeoutError(f"it took longer than {timeout_s:g} s")
            # read1() says nothing about an end before the length.
            if response.length:
                raise OSError(f"it is cut short by {response.length} bytes")
    except urllib.error.HTTPError as error:
        # It is an answer too, with a connection of its own.
        error.close()
        raise
    except http.client.HTTPException as error:
        raise OSError(f"its server does not speak HTTP: {error!r}") from None
    return text


def open_file(path: str) -> bytes:
    """The content of a file. Raises OSError, also when it is too large."""
    with open(path, "rb") as file:
        text = file.read(MAX_SET_BYTES + 1)
    if len(text) > MAX_SET_BYTES:
        raise OSError(f"it is larger than {MAX_SET_BYTES} bytes")
    return text


class KeySource:
    """The keys of one source, read again every refresh_s, and when a token names one that is not there.

    One thread reads, with the lock; others go on with the keys there are. Only when there are none yet, they
    wait. A source that fails leaves the keys as they are.
    """

    def __init__(
        self,
        read: Callable[[], bytes],
        algorithms: tuple[str, ...],
        refresh_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._algorithms = algorithms
        self._refresh_s = refresh_s
        self._clock = clock
        # Held while reading. What was read is put in place whole.
        self._lock = threading.Lock()
        self._keys: Keys = {}
        self._refresh_at = 0.0
        self._look_again_at = 0.0
        self._is_failing = False

    def find(self, key_id: str | None, algorithm: str, report: Callable[[str], object]) -> list[Any]:
        """The keys that may have signed a token. Without a key id, all that the algorithm can use.

        report: gets one line when the source begins to fail, and one when it works again.
        Raises NoKeysError when there are no keys at all.
        """
        if not self._keys:
            with self._lock:
                if not self._keys and self._clock() >= self._look_again_at:
                    self._refresh(report)
            if not self._keys:
                raise NoKeysError("no keys could be read yet")
        elif self._clock() >= self._refresh_at:
            self._refresh_alone(report)
        found = self._matching(key_id, algorithm)
        if not found and self._clock() >= self._look_again_at:
            self._refresh_alone(report)
            found = self._matching(key_id, algorithm)
        return found

    def _matching(self, key_id: str | None, algorithm: str) -> list[Any]:
        if key_id is not None:
            return self._keys.get((key_id, algorithm), [])
        return [key for (_id, of), keys in self._keys.items() if of == algorithm for key in keys]

    def _refresh_alone(self, report: Callable[[str], object]) -> None:
        """Read, unless another thread does: it goes on with the keys there are."""
        if self._lock.acquire(blocking=False):
            try:
                self._refresh(report)
            finally:
                self._lock.release()

    def _refresh(self, report: Callable[[str], object]) -> None:
        try:
            self._keys = parse_keys(self._read(), self._algorithms)
        except (OSError, ValueError) as error:
            self._refresh_at = self._look_again_at = self._clock() + LOOK_AGAIN_S
            if not self._is_failing:
                self._is_failing = True
                then = "the keys stay as they are" if self._keys else "nobody can be let in"
                report(f"BearerAuth: the key set cannot be read, {then}: {type(error).__name__}: {error}")
            return
        now = self._clock()
        self._refresh_at, self._look_again_at = now + self._refresh_s, now + LOOK_AGAIN_S
        if self._is_failing:
            self._is_failing = False
            report("BearerAuth: the key set can be read again.")
