"""The client without sockets: what the application gets, and what the test sees of its answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from barkeep.testing import Client, LintFailure

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN = ("Content-Type", "text/plain; charset=latin-1")


def echo(environ: Any, start_response: Any) -> list[bytes]:
    """The texts of the environ and the body, as JSON."""
    size = int(environ.get("CONTENT_LENGTH") or 0)
    texts = {key: value for key, value in environ.items() if isinstance(value, str)}
    body = environ["wsgi.input"].read(size) if size else b"".join(environ["wsgi.input"])
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"environ": texts, "body": body.decode("latin-1")}).encode()]


def seen_by(application: Any, method: str, target: str, **more: Any) -> tuple[dict[str, str], str]:
    response = Client(application).request(method, target, **more)
    told = response.json()
    return told["environ"], told["body"]


@pytest.mark.parametrize("method", ["get", "head", "options", "post", "put", "patch", "delete"])
def test_each_method_has_its_name(method: str) -> None:
    methods: list[str] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        methods.append(environ["REQUEST_METHOD"])
        start_response("204 No Content", [])
        return []

    assert getattr(Client(application), method)("/").status == 204
    assert methods == [method.upper()]


def test_query_is_added_and_a_list_repeats_its_name() -> None:
    environ, _body = seen_by(echo, "GET", "/a?b=1", query={"c": ["2", 3], "d": "\u00e9 &"})
    assert environ["QUERY_STRING"] == "b=1&c=2&c=3&d=%C3%A9+%26"


def test_form_is_urlencoded() -> None:
    environ, body = seen_by(echo, "POST", "/", form={"name": "\u00e9", "n": [1, 2]})
    assert (environ["CONTENT_TYPE"], body) == ("application/x-www-form-urlencoded", "name=%C3%A9&n=1&n=2")


def test_files_make_a_multipart_form() -> None:
    files: Any = {"note": ("note.txt", b"text"), "raw": b"\x00\xff", "odd": ('a"b', b"", "x/y")}
    environ, body = seen_by(echo, "POST", "/", form={"name": "value"}, files=files)
    boundary = environ["CONTENT_TYPE"].partition("boundary=")[2]
    parts = body.split("--" + boundary)
    assert parts[-1] == "--\r\n"
    assert parts[1] == '\r\nContent-Disposition: form-data; name="name"\r\n\r\nvalue\r\n'
    assert 'name="note"; filename="note.txt"\r\nContent-Type: text/plain\r\n\r\ntext\r\n' in parts[2]
    assert 'filename="raw"\r\nContent-Type: application/octet-stream\r\n\r\n\x00\xff\r\n' in parts[3]
    assert 'filename="a%22b"\r\nContent-Type: x/y\r\n\r\n\r\n' in parts[4]


def test_json_has_its_content_type_unless_another_is_given() -> None:
    environ, body = seen_by(echo, "POST", "/", json={"a": [1]})
    assert (environ["CONTENT_TYPE"], body) == ("application/json", '{"a": [1]}')
    environ, _body = seen_by(echo, "POST", "/", json=[], headers={"Content-Type": "application/x+json"})
    assert environ["CONTENT_TYPE"] == "application/x+json"


def test_pieces_make_a_chunked_request() -> None:
    environ, body = seen_by(echo, "PUT", "/", body=iter([b"one", b"two"]))
    assert ("CONTENT_LENGTH" in environ, body) == (False, "onetwo")


def test_two_bodies_are_refused() -> None:
    with pytest.raises(ValueError, match="one of body, form"):
        Client(echo).post("/", form={"a": "b"}, json={})


def test_headers_of_client_and_request_are_sent() -> None:
    client = Client(echo, base_url="https://shop.example:8443", headers={"X-All": "1"}, root_path="/api")
    environ = client.get("/api/users", headers=[("X-One", "2")], environ={"REMOTE_USER": "ann"}).json()[
        "environ"
    ]
    assert (environ["HTTP_X_ALL"], environ["HTTP_X_ONE"], environ["REMOTE_USER"]) == ("1", "2", "ann")
    assert (environ["HTTP_HOST"], environ["SERVER_PORT"], environ["wsgi.url_scheme"]) == (
        "shop.example:8443",
        "8443",
        "https",
    )
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/api", "/users")


# -- cookies and redirections ----------------------------------------------------------------------


def shop(environ: Any, start_response: Any) -> list[bytes]:
    """Sets cookies and redirects."""
    path, headers = environ["PATH_INFO"], [("Content-Type", "text/plain")]
    if path == "/login":
        headers += [
            ("Set-Cookie", "user=ann; Path=/"),
            ("Set-Cookie", "cart=3; Path=/cart"),
            ("Location", "/hello"),
        ]
        start_response("303 See Other", headers)
        return []
    if path == "/logout":
        headers.append(("Set-Cookie", "user=; Path=/; Max-Age=0"))
    if path in ("/moved", "/moved-again"):
        start_response("308 Permanent Redirect", [*headers, ("Location", "target?a=b")])
        return []
    if path == "/circle":
        start_response("302 Found", [*headers, ("Location", "/circle")])
        return []
    if path == "/away":
        start_response("302 Found", [*headers, ("Location", "https://elsewhere.example/")])
        return []
    start_response("200 OK", headers)
    cookie = environ.get("HTTP_COOKIE", "")
    return [f"{environ['REQUEST_METHOD']} {path}?{environ['QUERY_STRING']} {cookie}".encode()]


def test_cookies_are_kept_and_sent_where_they_belong() -> None:
    client = Client(shop)
    assert client.post("/login").header_values("Set-Cookie") == ["user=ann; Path=/", "cart=3; Path=/cart"]
    assert client.cookies["user"] == "ann"
    assert client.get("/cart").text == "GET /cart? cart=3; user=ann"
    assert client.get("/hello").text == "GET /hello? user=ann"
    client.get("/logout")
    assert "user" not in client.cookies
    assert list(client.cookies) == ["cart"]


def test_cookies_can_be_set_and_cleared() -> None:
    client = Client(shop)
    client.cookies.set(client.base_url, "user", "bob")
    assert client.get("/").text == "GET /? user=bob"
    client.cookies.clear()
    assert (client.get("/").text, len(client.cookies)) == ("GET /? ", 0)


def test_redirections_are_followed_when_asked() -> None:
    client = Client(shop)
    assert client.post("/login").status == 303
    assert client.post("/login", form={"a": "b"}, follow=True).text == "GET /hello? user=ann"
    assert client.put("/moved", body=b"x", follow=True).text == "PUT /target?a=b user=ann"


@pytest.mark.parametrize(
    ("path", "told"), [("/circle", "more than 20 redirections"), ("/away", "which is another site")]
)
def test_redirections_that_lead_nowhere_fail_the_test(path: str, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        Client(shop).get(path, follow=True)


# -- the answer ------------------------------------------------------------------------------------


def test_answer_has_status_reason_fields_and_text() -> None:
    def application(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("404 Not Found", [PLAIN, ("Vary", "A"), ("vary", "B")])
        return [b"caf\xe9"]

    response = Client(application).get("/")
    assert (response.status, response.reason, response.text) == (404, "Not Found", "caf\u00e9")
    assert (response.header("VARY"), response.header("X-None")) == ("A, B", None)


def test_failing_assertion_shows_request_head_and_body() -> None:
    def application(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [PLAIN])
        return [b"x" * 500]

    shown = repr(Client(application).get("/a"))
    assert shown.startswith("<GET /a -> 200 OK\n  Content-Type: text/plain")
    assert "... (500 bytes)" in shown


def test_streaming_answer_is_taken_chunk_by_chunk_and_closed() -> None:
    steps: list[str] = []

    def application(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [PLAIN])
        try:
            for name in ("one", "two", "three"):
                steps.append(name)
                yield name.encode()
        finally:
            steps.append("closed")

    with Client(application).stream("GET", "/") as response:
        assert (response.status, steps) == (200, ["one"])
        assert (response.next_chunk(), response.next_chunk(), steps) == (b"one", b"two", ["one", "two"])
    assert steps == ["one", "two", "closed"]
    assert response.next_chunk() == b""


def test_answer_to_head_has_no_body() -> None:
    def application(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [PLAIN, ("Content-Length", "4")])
        return [b"body"]

    response = Client(application).head("/")
    assert (response.body, response.header("Content-Length")) == (b"", "4")


def test_what_the_application_logs_is_kept() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.errors"].write("told\n")
        start_response("200 OK", [PLAIN])
        return []

    assert Client(application).get("/").errors.text == "told\n"


# -- errors and lint -------------------------------------------------------------------------------


def test_error_of_the_application_comes_out() -> None:
    def application(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [PLAIN])
        yield b"begun"
        raise KeyError("in the middle")

    with pytest.raises(KeyError, match="in the middle"):
        Client(application).get("/")


def hop_by_hop(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [PLAIN, ("Connection", "close"), ("X-Padded", "padded ")])
    return []


def test_broken_rule_fails_the_test_with_its_line() -> None:
    with pytest.raises(LintFailure, match="BK115 error: a hop-by-hop header field was given") as caught:
        Client(hop_by_hop).get("/")
    assert [finding.code for finding in caught.value.findings] == ["BK115"]
    assert caught.value.findings[0].place.function.endswith("hop_by_hop")


def test_lint_can_be_left_out_in_part_or_whole() -> None:
    assert Client(hop_by_hop, ignore=["BK115"]).get("/").status == 200
    assert Client(hop_by_hop, lint=False).get("/").status == 200
