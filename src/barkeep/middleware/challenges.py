"""Authentication as RFC 9110 section 11 has it: credentials from a request, challenges to a client."""

from __future__ import annotations

from .response import answer_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

# Longest credentials looked at, in characters. Servers allow more, and hashing costs with the length.
MAX_CREDENTIALS_CHARS = 16 * 1024


def credentials(environ: WSGIEnvironment, scheme: str) -> str | None:
    """What follows a scheme, "basic" or "bearer", in Authorization; None for none and for other schemes."""
    found, _space, text = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    text = text.strip(" ")
    return text if found.lower() == scheme and 0 < len(text) <= MAX_CREDENTIALS_CHARS else None


def accept(environ: WSGIEnvironment, user: str, scheme: str, *, passes_on: bool) -> None:
    """Tell the application who the user is (RFC 3875 sections 4.1.1 and 4.1.11)."""
    # PEP 3333: bytes in str. What a name holds beyond ASCII goes as UTF-8.
    environ["REMOTE_USER"] = user.encode("utf-8").decode("latin-1")
    environ["AUTH_TYPE"] = scheme
    if not passes_on:
        del environ["HTTP_AUTHORIZATION"]


def is_user_name(text: object) -> bool:
    """Whether it can stand in REMOTE_USER and in a line of a log."""
    return isinstance(text, str) and text != "" and text.isprintable()


def quoted(text: str) -> str:
    """A quoted-string (RFC 9110 section 5.6.4)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def challenge(
    environ: WSGIEnvironment,
    start_response: StartResponse,
    wanted: str,
    text: str,
    status: str = "401 Unauthorized",
) -> Iterable[bytes]:
    """Refuse, and say in WWW-Authenticate what is wanted."""
    return answer_text(environ, start_response, status, text, [("WWW-Authenticate", wanted)])
