"""BasicAuth: names and passwords (RFC 7617), checked against an htpasswd file or by a function."""

from __future__ import annotations

import base64
import binascii
import re

from ..setting_kinds import duration, field_value, path, switch
from .base import Middleware, Option
from .challenges import accept, challenge, credentials, is_user_name, quoted
from .htpasswd import HtpasswdFile, is_password
from .option_kinds import function_or
from .path_rules import path_list, path_rule
from .verified import Verified

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    # Whether (user, password) is right; told where a line for the log may go.
    Checks = Callable[[str, str, WSGIEnvironment], bool]

# In neither name nor password (RFC 7617 section 2); bcrypt would stop at a NUL.
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class BasicAuth(Middleware):
    """Let in who gives a right name and password; the others are asked for one with 401."""

    shorthand = "users"

    users = Option(
        function_or(path("the path of an htpasswd file"), "a function (user, password) -> bool"),
        help="file of USER:HASH with bcrypt or argon2, read again when it changes; in Python also a function",
    )
    realm = Option(field_value(), default="Restricted", help="what the browser names when it asks")
    paths = Option(path_list(), default=(), help="only these paths are protected; none for all")
    except_paths = Option(path_list(), default=(), help="paths that are open to everybody")
    cache = Option(
        duration(0.0, 86_400.0),
        default=300.0,
        help="how long right credentials are remembered, to save the slow hash; 0 for never",
    )
    pass_on = Option(
        switch(), default=False, help="leave the password in the request, for the application behind"
    )

    def check(self) -> None:
        """Raises SettingError when the file cannot be used."""
        if callable(self.users):
            return
        try:
            self._file = HtpasswdFile(self.users)
        except (OSError, ValueError) as error:
            raise self.fault("users", f"cannot be used: {error}.") from None

    def wrap(self, application: WSGIApplication) -> WSGIApplication:
        """The application behind the password."""
        covers = path_rule(self.paths, self.except_paths)
        is_right = self._of_function(self.users) if callable(self.users) else self._of_file(self._file)
        wanted = f'Basic realm={quoted(self.realm)}, charset="UTF-8"'
        passes_on = self.pass_on

        def protected(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if covers is not None and not covers(environ):
                return application(environ, start_response)
            found = parse_credentials(credentials(environ, "basic"))
            if found is None or not is_right(*found, environ):
                return challenge(environ, start_response, wanted, "A name and a password are needed.")
            accept(environ, found[0], "Basic", passes_on=passes_on)
            return application(environ, start_response)

        return protected

    def _of_file(self, file: HtpasswdFile) -> Checks:
        verified = Verified(self.cache)

        def is_right(user: str, password: str, environ: WSGIEnvironment) -> bool:
            users = file.users(lambda line: environ["wsgi.errors"].write(line + "\n"))
            password_hash = users.get(user)
            if password_hash is None:
                # As long as for somebody who is there, so that time does not tell who is.
                for decoy in users.values():
                    is_password(password, decoy)
                    break
                return False
            # With the hash in it, a changed password is forgotten at once.
            digest = verified.digest(user, password, password_hash)
            if verified.has(digest):
                return True
            if not is_password(password, password_hash):
                return False
            verified.remember(digest)
            return True

        return is_right

    def _of_function(self, function: Callable[[str, str], object]) -> Checks:
        verified = Verified(self.cache)

        def is_right(user: str, password: str, _environ: WSGIEnvironment) -> bool:
            digest = verified.digest(user, password)
            if verified.has(digest):
                return True
            if not function(user, password):
                return False
            verified.remember(digest)
            return True

        return is_right


def parse_credentials(text: str | None) -> tuple[str, str] | None:
    """(user, password) of Basic credentials (RFC 7617 section 2); None when they are none."""
    if text is None:
        return None
    try:
        user, colon, password = base64.b64decode(text, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        return None
    if not colon or not is_user_name(user) or CONTROL.search(password):
        return None
    return user, password
