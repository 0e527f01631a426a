"""BearerAuth: signed tokens (JWT, RFC 7519) of an identity provider, sent as in RFC 6750."""

from __future__ import annotations

import functools

from ..setting_kinds import duration, field_value, plain_text, switch
from .base import Middleware, Option
from .challenges import accept, challenge, credentials, is_user_name, quoted
from .jwks import KEY_TYPES, KeySource, NoKeysError, check_source, fetch, is_url, open_file, parse_keys
from .libraries import library
from .option_kinds import none_or, texts
from .path_rules import path_list, path_rule
from .response import answer_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    Claims = dict[str, Any]

# Where the application finds what the token says.
CLAIMS = "barkeep.claims"

# What Retry-After says while there are no keys, in seconds.
NO_KEYS_RETRY_S = 10


class InvalidToken(Exception):
    """A token that is not accepted. The text may be shown to whoever sent it."""


class BearerAuth(Middleware):
    """Let in who has a token that is signed by one of the keys, for us, and not too old."""

    shorthand = "keys"

    keys = Option(
        plain_text("a file or an https URL of a JWK set"),
        help="the public keys: a JWK set in a file, or at an https URL such as .../.well-known/jwks.json",
    )
    algorithms = Option(
        texts(f"some of {', '.join(KEY_TYPES)}", KEY_TYPES.__contains__),
        help="the algorithms that are accepted, whatever a token says of itself",
    )
    audience = Option(
        none_or(texts("names of this service, as tokens name it")),
        help="a token must be for one of these (aud); off accepts tokens that were made for other services",
    )
    issuer = Option(
        none_or(texts("names of who may issue tokens")),
        help="a token must be from one of these (iss); off accepts whoever has one of the keys",
    )
    skew = Option(duration(0.0, 600.0), default=30.0, help="how far clocks may differ, for exp, nbf and iat")
    scopes = Option(texts("words of scope"), default=(), help="a token must have all of these; otherwise 403")
    user_claim = Option(
        plain_text("the name of a claim"), default="sub", help="the claim that becomes REMOTE_USER"
    )
    refresh = Option(
        duration(10.0, 86_400.0),
        default=600.0,
        help="how often the keys are read again; an unknown key is looked for sooner",
    )
    fetch_timeout = Option(
        duration(0.05, 60.0), default=3.0, help="longest time that fetching the keys may take"
    )
    realm = Option(field_value(), default="Restricted", help="what the challenge names")
    paths = Option(path_list(), default=(), help="only these paths are protected; none for all")
    except_paths = Option(path_list(), default=(), help="paths that are open to everybody")
    pass_on = Option(switch(), default=False, help="leave the token in the request, for what is behind")

    def check(self) -> None:
        """Raises SettingError for a file without usable keys. A URL is first asked when a token comes."""
        library("cryptography", "auth", "BearerAuth")
        self._jwt = library("jwt", "auth", "BearerAuth")
        if not self.algorithms:
            raise self.fault("algorithms", "must name one at least.")
        try:
            check_source(self.keys)
            if not is_url(self.keys):
                parse_keys(open_file(self.keys), self.algorithms)
        except (OSError, ValueError) as error:
            raise self.fault("keys", f"cannot be used: {self.keys}: {error}.") from None

    def wrap(self, application: WSGIApplication) -> WSGIApplication:
        """The application behind the token. All applications that are wrapped fetch keys of their own."""
        covers = path_rule(self.paths, self.except_paths)
        tokens = _Tokens(self, self._jwt)
        bare = f"Bearer realm={quoted(self.realm)}"
        scope = quoted(" ".join(self.scopes))
        wanted_scopes, passes_on = frozenset(self.scopes), self.pass_on

        def protected(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if covers is not None and not covers(environ):
                return application(environ, start_response)
            token = credentials(environ, "bearer")
            if token is None:
                # Who sends no token is told of no error (RFC 6750 section 3.1).
                return challenge(environ, start_response, bare, "A token is needed.")
            try:
                user, claims = tokens.accept(token, lambda line: environ["wsgi.errors"].write(line + "\n"))
            except InvalidToken as error:
                wanted = f'{bare}, error="invalid_token", error_description={quoted(str(error))}'
                return challenge(environ, start_response, wanted, f"{error}.")
            except NoKeysError:
                retry = [("Retry-After", str(NO_KEYS_RETRY_S))]
                return answer_text(
                    environ, start_response, "503 Service Unavailable", "Try again later.", retry
                )
            if not wanted_scopes <= scopes_of(claims):
                wanted = f'{bare}, error="insufficient_scope", scope={scope}'
                text = "The token is not for this."
                return challenge(environ, start_response, wanted, text, "403 Forbidden")
            accept(environ, user, "Bearer", passes_on=passes_on)
            environ[CLAIMS] = claims
            return application(environ, start_response)

        return protected


class _Tokens:
    """Checks tokens against the keys of one source. Any thread may call it."""

    def __init__(self, piece: BearerAuth, jwt: Any) -> None:
        self._jwt = jwt
        self._piece = piece
        self._decoder = jwt.PyJWT({"enforce_minimum_key_length": True})
        read = (
            functools.partial(fetch, piece.keys, piece.fetch_timeout)
            if is_url(piece.keys)
            else functools.partial(open_file, piece.keys)
        )
        self._source = KeySource(read, piece.algorithms, piece.refresh)
        required = ["exp", *(["aud"] if piece.audience else []), *(["iss"] if piece.issuer else [])]
        self._options = {
            "require": required,
            "verify_aud": bool(piece.audience),
            "verify_iss": bool(piece.issuer),
        }

    def accept(self, token: str, report: Callable[[str], object]) -> tuple[str, Claims]:
        """(user, claims) of a good token. Raises InvalidToken, and NoKeysError when there are no keys."""
        jwt, piece = self._jwt, self._piece
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            # The last two are what JSON of a stranger may raise.
            raise InvalidToken("The token is malformed") from None
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in piece.algorithms:
            raise InvalidToken("The token is signed with an algorithm that is not accepted")
        keys = self._source.find(key_id, algorithm, report)
        if not keys:
            raise InvalidToken("The token is signed with a key that is not known")
        claims = self._claims(token, algorithm, keys)
        user = claims.get(piece.user_claim)
        if not isinstance(user, str) or not is_user_name(user):
            raise InvalidToken(f"The token has no {piece.user_claim}")
        return user, claims

    def _claims(self, token: str, algorithm: str, keys: list[Any]) -> Claims:
        """The claims, when one of the keys has signed them and they hold now and here."""
        jwt, piece = self._jwt, self._piece
        for key in keys:
            try:
                claims: Claims = self._decoder.decode(
                    token,
                    key,
                    algorithms=[algorithm],
                    audience=piece.audience,
                    issuer=piece.issuer,
                    leeway=piece.skew,
                    options=self._options,
                )
            except jwt.InvalidSignatureError:
                continue
            except jwt.PyJWTError as error:
                raise InvalidToken(self._reason(error)) from None
            return claims
        raise InvalidToken("The signature of the token is wrong")

    def _reason(self, error: Exception) -> str:
        """What is wrong, in a sentence that holds nothing of the token."""
        jwt = self._jwt
        reasons = (
            (jwt.ExpiredSignatureError, "The token has expired"),
            (jwt.ImmatureSignatureError, "The token is not valid yet"),
            (jwt.InvalidAudienceError, "The token is for another service"),
            (jwt.InvalidIssuerError, "The token is from another issuer"),
            (jwt.MissingRequiredClaimError, "The token lacks a claim that is needed"),
        )
        return next((text for kind, text in reasons if isinstance(error, kind)), "The token is not valid")


def scopes_of(claims: Claims) -> frozenset[str]:
    """The scopes of a token: scope, words with spaces between them (RFC 8693 section 4.2), or scp, a list."""
    found = claims.get("scope", claims.get("scp", ""))
    words = found.split(" ") if isinstance(found, str) else found
    return (
        frozenset(word for word in words if isinstance(word, str)) if isinstance(words, list) else frozenset()
    )
