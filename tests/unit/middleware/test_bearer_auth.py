"""BearerAuth: which tokens are good, what is said about others, and when keys are read again."""

from __future__ import annotations

import functools
import hmac
import http.server
import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from barkeep.errors import SettingError
from barkeep.middleware import jwks
from barkeep.middleware.bearer_auth import BearerAuth
from barkeep.middleware.jwks import KeySource, NoKeysError
from tests.apps import answering
from tests.middleware_cases import Answer, call, check_both_sides, each_case, make_environ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from tests.middleware_cases import Case

OURS, ISSUER = "https://shop.example", "https://id.example"


@functools.cache
def private_key(name: str) -> Any:
    """A key that is made once for all tests; "rsa", "other rsa", "small rsa", "ec" or "ed"."""
    if name == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    if name == "ed":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 1024 if name == "small rsa" else 2048)


def jwk(name: str, key_id: str | None = None, **members: Any) -> dict[str, Any]:
    """The public half, as a member of a set."""
    writers: dict[str, Any] = {"ec": jwt.algorithms.ECAlgorithm, "ed": jwt.algorithms.OKPAlgorithm}
    found = json.loads(writers.get(name, jwt.algorithms.RSAAlgorithm).to_jwk(private_key(name).public_key()))
    found.pop("key_ops", None)
    return {**found, **({} if key_id is None else {"kid": key_id}), **members}


def key_set(*members: dict[str, Any]) -> bytes:
    return json.dumps({"keys": members}).encode()


def token(key: str = "rsa", algorithm: str = "RS256", key_id: str | None = "one", **claims: Any) -> str:
    found = {"sub": "ada", "aud": OURS, "iss": ISSUER, "exp": time.time() + 60, **claims}
    headers = {} if key_id is None else {"kid": key_id}
    kept = {name: value for name, value in found.items() if value is not None}
    return jwt.encode(kept, private_key(key), algorithm, headers)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(jwk("rsa", "one"), jwk("ec", "two"), jwk("ed", "three")))
    return path


def piece(keys: object, **settings: Any) -> BearerAuth:
    chosen = {"algorithms": "RS256,ES256,EdDSA", "audience": OURS, "issuer": ISSUER, **settings}
    return BearerAuth(str(keys), **chosen)


def ask(application: WSGIApplication, found: str | None = None, path: str = "/") -> Answer:
    environ = make_environ(path)
    if found is not None:
        environ["HTTP_AUTHORIZATION"] = f"Bearer {found}"
    return call(application, environ)


def code(settings: BearerAuth, found: str | None = None) -> str:
    return ask(settings(answering(b"hello")), found).status[:3]


@each_case
def test_every_form_of_answer_passes_through(case: Case, keys: Path) -> None:
    check_both_sides(piece(keys), case, HTTP_AUTHORIZATION=f"Bearer {token()}")


@pytest.mark.parametrize(
    ("key", "algorithm", "key_id"),
    [("rsa", "RS256", "one"), ("ec", "ES256", "two"), ("ed", "EdDSA", "three"), ("rsa", "RS256", None)],
)
def test_a_token_that_one_of_the_keys_has_signed_is_good(
    keys: Path, key: str, algorithm: str, key_id: str | None
) -> None:
    assert code(piece(keys), token(key, algorithm, key_id)) == "200"


def test_the_application_learns_the_user_and_the_claims(keys: Path) -> None:
    found: WSGIEnvironment = {}

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        found.update(environ)
        start_response("204 No Content", [])
        return []

    ask(piece(keys, user_claim="email")(application), token(email="ada@shop.example"))
    assert (found["REMOTE_USER"], found["AUTH_TYPE"]) == ("ada@shop.example", "Bearer")
    assert found["barkeep.claims"]["sub"] == "ada"
    assert "HTTP_AUTHORIZATION" not in found


def test_without_a_token_no_error_is_told(keys: Path) -> None:
    answer = ask(piece(keys, realm="Shop")(answering(b"")))
    assert answer.status == "401 Unauthorized"
    assert answer.field("WWW-Authenticate") == 'Bearer realm="Shop"'


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": 1000}, "The token has expired"),
        ({"exp": None}, "The token lacks a claim that is needed"),
        ({"nbf": time.time() + 3600}, "The token is not valid yet"),
        ({"aud": "https://other.example"}, "The token is for another service"),
        ({"aud": None}, "The token lacks a claim that is needed"),
        ({"iss": "https://evil.example"}, "The token is from another issuer"),
        ({"iss": None}, "The token lacks a claim that is needed"),
        ({"sub": None}, "The token has no sub"),
        ({"sub": "a\nb"}, "The token has no sub"),
        ({"key": "other rsa"}, "The signature of the token is wrong"),
        ({"key_id": "nobody"}, "The token is signed with a key that is not known"),
        ({"key_id": "two"}, "The token is signed with a key that is not known"),
        ({"algorithm": "RS512"}, "The token is signed with an algorithm that is not accepted"),
    ],
)
def test_a_token_that_is_not_good_is_refused_with_the_reason(
    keys: Path, claims: dict[str, Any], reason: str
) -> None:
    answer = ask(piece(keys)(answering(b"")), token(**claims))
    assert answer.status == "401 Unauthorized"
    expected = f'Bearer realm="Restricted", error="invalid_token", error_description="{reason}"'
    assert answer.field("WWW-Authenticate") == expected


def test_an_unsigned_token_and_one_signed_with_the_public_key_are_refused(keys: Path) -> None:
    claims = {"sub": "ada", "aud": OURS, "iss": ISSUER, "exp": time.time() + 60}
    unsigned = jwt.encode(claims, "", "none", {"kid": "one"})
    content = token().split(".")[1]
    header = jwt.utils.base64url_encode(b'{"alg":"HS256","kid":"one"}').decode()
    public_key = private_key("rsa").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    mac = hmac.digest(public_key, f"{header}.{content}".encode(), "sha256")
    confused = f"{header}.{content}.{jwt.utils.base64url_encode(mac).decode()}"
    for found in (unsigned, confused):
        assert code(piece(keys), found) == "401"
        assert code(piece(keys, algorithms="RS256,HS256"), found) == "401"


@pytest.mark.parametrize("found", ["x", "a.b.c", "..", "e30.e30.e30", "é.é.é", token()[:-10], token() + "x"])
def test_what_is_no_token_is_refused(keys: Path, found: str) -> None:
    assert code(piece(keys), found) == "401"


def test_json_that_is_nested_too_deep_is_no_token(keys: Path) -> None:
    header = jwt.utils.base64url_encode(b'{"alg":' + b"[" * 10_000).decode()
    assert code(piece(keys), f"{header}.e30.AAAA") == "401"


def test_clocks_may_differ_by_the_skew(keys: Path) -> None:
    late = token(exp=time.time() - 20)
    assert code(piece(keys, skew=60), late) == "200"
    assert code(piece(keys, skew=0), late) == "401"


def test_a_token_must_have_every_scope(keys: Path) -> None:
    strict = piece(keys, scopes="read,write")
    assert code(strict, token(scope="write read other")) == "200"
    assert code(strict, token(scp=["read", "write"])) == "200"
    answer = ask(strict(answering(b"")), token(scope="read"))
    assert answer.status == "403 Forbidden"
    assert answer.field("WWW-Authenticate") == (
        'Bearer realm="Restricted", error="insufficient_scope", scope="read write"'
    )


def test_any_audience_and_issuer_are_accepted_only_when_the_settings_say_so(keys: Path) -> None:
    open_to_all = piece(keys, audience="off", issuer="off")
    assert code(open_to_all, token(aud="https://other.example", iss=None)) == "200"
    assert code(piece(keys, audience=[OURS, "two"]), token(aud=["two", "three"])) == "200"


def test_paths_may_be_open(keys: Path) -> None:
    application = piece(keys, except_paths="/health")(answering(b""))
    assert ask(application, path="/health").status == "200 OK"
    assert ask(application, path="/").status == "401 Unauthorized"


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize(
    "member",
    [
        jwk("rsa", "one", use="enc"),
        jwk("rsa", "one", alg="PS256"),
        jwk("small rsa", "one"),
        jwk("rsa", "one") | {"n": "!"},
        {"kty": "RSA", "kid": "one"},
    ],
    ids=["for encryption", "for another algorithm", "too small", "broken", "empty"],
)
def test_a_key_that_is_not_fit_signs_nothing(tmp_path: Path, member: dict[str, Any]) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(member, jwk("ec", "two")))
    signer = "small rsa" if member.get("n") == jwk("small rsa")["n"] else "rsa"
    assert code(piece(path), token(signer)) == "401"


# -- where the keys come from ----------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Source:
    """A source that the test changes, and that counts how often it is read."""

    def __init__(self, *members: dict[str, Any]) -> None:
        self.content: bytes | OSError = key_set(*members)
        self.reads = 0
        self.said: list[str] = []
        self.clock = Clock()
        self.keys = KeySource(self.read, ("RS256",), 600, self.clock)

    def read(self) -> bytes:
        self.reads += 1
        if isinstance(self.content, OSError):
            raise self.content
        return self.content

    def has(self, key_id: str) -> bool:
        return bool(self.keys.find(key_id, "RS256", self.said.append))


def test_keys_are_read_when_first_needed_and_then_after_the_set_time() -> None:
    source = Source(jwk("rsa", "one"))
    assert source.reads == 0
    assert source.has("one")
    source.clock.now_s += 599
    assert source.has("one")
    assert source.reads == 1
    source.content = key_set(jwk("rsa", "two"))
    source.clock.now_s += 1
    assert not source.has("one")
    assert source.reads == 2


def test_an_unknown_key_is_looked_for_but_not_for_every_token() -> None:
    source = Source(jwk("rsa", "one"))
    assert source.has("one")
    source.content = key_set(jwk("rsa", "one"), jwk("rsa", "two"))
    assert not any(source.has("two") for _ in range(100))
    source.clock.now_s += 10
    assert source.has("two")
    assert source.reads == 2
    assert not any(source.has("three") for _ in range(100))
    assert source.reads == 2


def test_a_source_that_fails_leaves_the_keys_and_is_told_once() -> None:
    source = Source(jwk("rsa", "one"))
    assert source.has("one")
    source.content = OSError("no route")
    for _ in range(5):
        source.clock.now_s += 600
        assert source.has("one")
    assert source.said == [
        "BearerAuth: the key set cannot be read, the keys stay as they are: OSError: no route"
    ]
    source.content = key_set(jwk("rsa", "one"))
    source.clock.now_s += 600
    assert source.has("one")
    assert source.said[1:] == ["BearerAuth: the key set can be read again."]


def test_without_any_keys_the_source_is_asked_only_now_and_then() -> None:
    source = Source()
    for _ in range(3):
        with pytest.raises(NoKeysError):
            source.has("one")
    assert source.reads == 1
    assert len(source.said) == 1
    source.clock.now_s += 10
    source.content = key_set(jwk("rsa", "one"))
    assert source.has("one")


def test_threads_that_come_at_once_read_the_source_once() -> None:
    source = Source(jwk("rsa", "one"))
    found: list[bool] = []
    threads = [threading.Thread(target=lambda: found.append(source.has("one"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8
    assert source.reads == 1


class Handler(http.server.BaseHTTPRequestHandler):
    answers: dict[str, tuple[int, dict[str, str], bytes]]

    def do_GET(self) -> None:
        status, fields, body = self.answers[self.path]
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **fields}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def provider() -> Iterator[str]:
    """The URL of a server with key sets, good and bad."""
    handler = type("Handler", (Handler,), {"answers": {}})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    url = f"http://127.0.0.1:{server.server_port}"
    handler.answers.update(  # type: ignore[attr-defined]
        {
            "/keys": (200, {}, key_set(jwk("rsa", "one"))),
            "/error": (500, {}, b""),
            "/large": (200, {}, b" " * (jwks.MAX_SET_BYTES + 1)),
            "/away": (302, {"Location": f"{url}/keys"}, b""),
            "/cut": (200, {"Content-Length": "100000"}, key_set(jwk("rsa", "one"))),
            "/html": (200, {}, b"<html>"),
        }
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


def test_keys_come_over_http_from_a_real_server(provider: str) -> None:
    assert code(piece(f"{provider}/keys"), token()) == "200"


@pytest.mark.parametrize("path", ["/error", "/large", "/away", "/html", "/cut"])
def test_without_usable_keys_nobody_is_let_in_and_the_log_says_why(provider: str, path: str) -> None:
    log, environ = io.StringIO(), make_environ()
    environ.update({"HTTP_AUTHORIZATION": f"Bearer {token()}", "wsgi.errors": log})
    answer = call(piece(provider + path, fetch_timeout=1)(answering(b"")), environ)
    assert answer.status == "503 Service Unavailable"
    assert answer.field("Retry-After") == "10"
    assert log.getvalue().startswith("BearerAuth: the key set cannot be read, nobody can be let in: ")
    assert log.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"algorithms": "none"}, "algorithms must be some of RS256"),
        ({"algorithms": ""}, "algorithms must name one"),
        ({"keys": "http://id.example/keys"}, "keys must come over https"),
        ({"keys": "nowhere.json"}, "No such file"),
        ({"algorithms": "HS256"}, "no key for HS256"),
    ],
)
def test_a_wrong_setting_says_what_is_allowed(keys: Path, settings: dict[str, Any], part: str) -> None:
    with pytest.raises(SettingError, match=part):
        piece(**{"keys": keys, **settings})


@pytest.mark.parametrize("name", ["keys", "algorithms", "audience", "issuer"])
def test_what_makes_a_token_safe_has_no_default(name: str) -> None:
    settings = {"keys": "k.json", "algorithms": "RS256", "audience": OURS, "issuer": ISSUER}
    del settings[name]
    with pytest.raises(SettingError, match=f"BearerAuth: {name} is needed"):
        BearerAuth(**settings)
