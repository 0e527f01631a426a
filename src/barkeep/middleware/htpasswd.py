"""Files of users and password hashes, as `htpasswd -B` of Apache writes them: bcrypt, and argon2 as well."""

from __future__ import annotations

import os
import re
import threading
import time

from .libraries import library

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BCRYPT = re.compile(r"\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}")
ARGON2 = re.compile(
    r"\$argon2(?:id|i|d)\$(?:v=[0-9]+\$)?m=[0-9]+,t=[0-9]+,p=[0-9]+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+"
)

# bcrypt looks at no more; its library refuses longer ones, where htpasswd cuts them.
BCRYPT_PASSWORD_BYTES = 72

# How often the file is looked at for a change, in seconds.
LOOK_AGAIN_S = 1.0


def parse_htpasswd(text: str, file: str) -> dict[str, str]:
    """Hashes by user; of a user who is there twice the first one, as Apache does.

    Raises ValueError that names the line, and never shows a hash.
    """
    users: dict[str, str] = {}
    for number, written in enumerate(text.splitlines(), 1):
        line = written.strip()
        if not line or line.startswith("#"):
            continue
        user, colon, password_hash = line.partition(":")
        if not colon or not user.isprintable():
            raise ValueError(f"{file}, line {number}: expected USER:HASH")
        if BCRYPT.fullmatch(password_hash):
            library("bcrypt", "auth", "BasicAuth with bcrypt")
        elif ARGON2.fullmatch(password_hash):
            library("argon2", "auth", "BasicAuth with argon2")
        else:
            raise ValueError(
                f"{file}, line {number}: the hash of {user!a} is neither bcrypt nor argon2. "
                f"Make it anew: htpasswd -B {file} {user}"
            )
        users.setdefault(user, password_hash)
    return users


def is_password(password: str, password_hash: str) -> bool:
    """Whether the hash is of this password. Takes as long as the hash says: often 0.1 s. The GIL is free."""
    secret = password.encode("utf-8")
    if password_hash.startswith("$2"):
        bcrypt = library("bcrypt", "auth", "BasicAuth with bcrypt")
        return bool(bcrypt.checkpw(secret[:BCRYPT_PASSWORD_BYTES], password_hash.encode("ascii")))
    low_level = library("argon2.low_level", "auth", "BasicAuth with argon2")
    exceptions = library("argon2.exceptions", "auth", "BasicAuth with argon2")
    kinds = {"$argon2i$": low_level.Type.I, "$argon2d$": low_level.Type.D}
    kind = kinds.get(password_hash[:9], low_level.Type.ID)
    try:
        return bool(low_level.verify_secret(password_hash.encode("ascii"), secret, kind))
    except (exceptions.VerificationError, exceptions.InvalidHashError):
        return False


class HtpasswdFile:
    """The users of one file, read again when it changes. Any thread may call it."""

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises OSError and ValueError for a file that cannot be used."""
        self.path = path
        self._clock = clock
        # Only the thread with the lock reads the file; what it found is put in place whole.
        self._lock = threading.Lock()
        self._look_again_at = clock() + LOOK_AGAIN_S
        self._seen = self._stamp()
        self._users = self._read()

    def users(self, report: Callable[[str], object]) -> dict[str, str]:
        """Hashes by user. A file that cannot be used any more is reported once, and the old users stay."""
        if self._clock() >= self._look_again_at and self._lock.acquire(blocking=False):
            try:
                self._look_again_at = self._clock() + LOOK_AGAIN_S
                self._refresh(report)
            finally:
                self._lock.release()
        return self._users

    def _refresh(self, report: Callable[[str], object]) -> None:
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._users = self._read()
        except (OSError, ValueError) as error:
            report(f"BasicAuth: the users stay as they were, the file cannot be used: {error}")

    def _stamp(self) -> tuple[int, int, int] | None:
        """Changes with the file: an editor writes a new one, htpasswd writes into the same."""
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> dict[str, str]:
        with open(self.path, encoding="utf-8") as file:
            return parse_htpasswd(file.read(), self.path)
