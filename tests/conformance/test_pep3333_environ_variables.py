"""PEP 3333, environ Variables: an exact dict of exact texts, true to the request and to the server."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING
from wsgiref import validate
from wsgiref.util import request_uri

import pytest

from barkeep import Server
from tests.apps import GET, PLAIN, echo, environ_of, json_answer
from tests.raw_client import TIMEOUT_S, Client, ask

if TYPE_CHECKING:
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tests.apps import Serve


def get(*lines: bytes, target: bytes = b"/") -> bytes:
    """A GET with these field lines."""
    return b"\r\n".join([b"GET " + target + b" HTTP/1.1", b"Host: a", *lines, b"", b""])


def environ_for(serve: Serve, request: bytes, **settings: object) -> dict[str, str]:
    """The texts of the environ that a request makes."""
    return environ_of(ask(serve(echo, **settings).address, request).body)


def test_environ_is_a_built_in_dict_of_built_in_str(serve: Serve) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        texts = [value for key, value in environ.items() if not key.startswith(("wsgi.", "barkeep."))]
        facts = [type(environ) is dict, {type(key) is str for key in environ} == {True}]
        return json_answer([*facts, {type(value) is str for value in texts} == {True}], start_response)

    request = b"POST /%C3%A9?\xc2 HTTP/1.1\r\nHost: a\r\nX-Y: \xff\r\nContent-Length: 1\r\n\r\nx"
    assert ask(serve(application).address, request.replace(b"?\xc2", b"?c")).body == b"[true, true, true]"


def test_environ_passes_the_check_of_wsgiref(serve: Serve) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        validate.check_environ(environ)  # type: ignore[attr-defined]
        start_response("200 OK", PLAIN)
        return [b"right"]

    address = serve(application).address
    for request in [
        GET,
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /a%20b?c HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi",
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET http://a/b HTTP/1.0\r\n\r\n",
    ]:
        assert ask(address, request).body == b"right", request


@pytest.mark.parametrize("method", ["GET", "POST", "get", "PROPFIND", "!#$%&'*+-.^_`|~09"])
def test_request_method_is_as_received(serve: Serve, method: str) -> None:
    request = f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    assert environ_for(serve, request)["REQUEST_METHOD"] == method


def test_script_name_is_empty_at_the_root(serve: Serve) -> None:
    environ = environ_for(serve, GET)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", "/")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/mount/x", "/x"),
        (b"/mount", ""),
        (b"/mount/", "/"),
        (b"/m%6Funt/x", "/x"),
        (b"/mountain", "/mountain"),
    ],
)
def test_root_path_becomes_script_name_and_leaves_path_info(serve: Serve, target: bytes, path: str) -> None:
    environ = environ_for(serve, get(target=target), root_path="/mount")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/mount", path)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a%2Fb", "/a/b"),
        (b"/a%252Fb", "/a%2Fb"),
        (b"/%C3%A9%00%ff", "/\xc3\xa9\x00\xff"),
        (b"/a+b;c=d//.././e", "/a+b;c=d//.././e"),
        (b"/a%3Fb?c%20d", "/a?b"),
    ],
)
def test_path_info_is_decoded_once_and_never_normalized(serve: Serve, target: bytes, path: str) -> None:
    assert environ_for(serve, get(target=target))["PATH_INFO"] == path


@pytest.mark.parametrize(
    ("target", "query"), [(b"/", ""), (b"/?", ""), (b"/?a=%20&b", "a=%20&b"), (b"/?a?b%zz", "a?b%zz")]
)
def test_query_string_is_there_and_not_decoded(serve: Serve, target: bytes, query: str) -> None:
    assert environ_for(serve, get(target=target))["QUERY_STRING"] == query


def test_target_is_kept_as_received(serve: Serve) -> None:
    environ = environ_for(serve, get(target=b"/a%2fb/..?c=%20"))
    assert environ["REQUEST_URI"] == environ["RAW_URI"] == "/a%2fb/..?c=%20"


def test_content_type_and_length_have_keys_of_their_own(serve: Serve) -> None:
    environ = environ_for(
        serve, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/x\r\nContent-Length: 2\r\n\r\nhi"
    )
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/x", "2")
    assert not {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} & environ.keys()


def test_content_type_and_length_are_absent_when_the_request_has_none(serve: Serve) -> None:
    environ = environ_for(serve, GET)
    assert not environ.get("CONTENT_TYPE")
    assert not environ.get("CONTENT_LENGTH")


def test_server_name_and_port_are_texts_that_lead_back_to_the_server(serve: Serve) -> None:
    served = serve(echo)
    environ = environ_of(ask(served.address, b"GET /x?y HTTP/1.0\r\n\r\n").body)
    # Without Host, the URL is made of SERVER_NAME and SERVER_PORT (PEP 3333, URL Reconstruction).
    assert "HTTP_HOST" not in environ
    assert request_uri({**environ, "wsgi.url_scheme": "http"}) == f"{served.server.url}/x?y"


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_server_protocol_is_the_version_of_the_request(serve: Serve, version: str) -> None:
    request = f"GET / {version}\r\nHost: a\r\n\r\n".encode()
    assert environ_for(serve, request)["SERVER_PROTOCOL"] == version


def test_server_software_names_barkeep(serve: Serve) -> None:
    assert environ_for(serve, GET)["SERVER_SOFTWARE"].startswith("barkeep/")


def test_remote_address_and_port_are_those_of_the_client(serve: Serve) -> None:
    with Client(serve(echo).address) as client:
        environ = environ_of(client.ask(GET).body)
        assert (environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"])) == client.socket.getsockname()


def test_ipv6_client_has_its_address_without_brackets(serve: Serve) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    environ = environ_of(ask(serve(echo, bind="[::1]:0").address, GET).body)
    assert environ["REMOTE_ADDR"] == "::1"


def test_fields_become_upper_case_keys_with_underscores(serve: Serve) -> None:
    environ = environ_for(serve, get(b"x-Some.Thing~1:  va lue\t", b"Accept: */*"))
    assert environ["HTTP_X_SOME.THING~1"] == "va lue"
    assert (environ["HTTP_ACCEPT"], environ["HTTP_HOST"]) == ("*/*", "a")


def test_empty_field_value_is_an_empty_text(serve: Serve) -> None:
    assert environ_for(serve, get(b"X-Empty:"))["HTTP_X_EMPTY"] == ""


def test_repeated_fields_are_joined_in_order_with_commas(serve: Serve) -> None:
    environ = environ_for(serve, get(b"X-A: 1", b"Accept: a", b"x-a: 2", b"accept: b", b"X-A:", b"X-A: 3"))
    assert environ["HTTP_X_A"] == "1,2,,3"
    assert environ["HTTP_ACCEPT"] == "a,b"


def test_many_different_fields_do_not_run_into_each_other(serve: Serve) -> None:
    names = [f"X-{number}-{'y' * (number % 7)}" for number in range(95)]
    environ = environ_for(serve, get(*(f"{name}: {name}".encode() for name in names)))
    assert {environ["HTTP_" + name.upper().replace("-", "_")] for name in names} == set(names)


def test_repeated_cookies_are_joined_with_semicolons(serve: Serve) -> None:
    assert environ_for(serve, get(b"Cookie: a=1", b"cookie: b=2"))["HTTP_COOKIE"] == "a=1; b=2"


def test_name_with_an_underscore_never_passes_for_one_with_a_dash(serve: Serve) -> None:
    for lines in ([b"X-Role: user", b"X_Role: admin"], [b"X_Role: admin", b"X-Role: user"]):
        assert environ_for(serve, get(*lines))["HTTP_X_ROLE"] == "user"
    environ = environ_for(serve, get(b"X_Role: admin", b"Content_Length: 5", b"Content_Type: x"))
    assert not {"HTTP_X_ROLE", "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "CONTENT_TYPE"} & environ.keys()


def test_name_with_an_underscore_is_refused_when_the_setting_says_so(serve: Serve) -> None:
    address = serve(echo, underscore_headers="refuse").address
    with Client(address) as client:
        assert client.ask(get(b"X_Role: admin")).status == 400
        client.expect_close()
    assert ask(address, get(b"X-Role: user")).status == 200


def test_proxy_field_does_not_become_http_proxy(serve: Serve) -> None:
    assert "HTTP_PROXY" not in environ_for(serve, get(b"Proxy: http://evil.example"))


def test_fields_of_a_proxy_change_nothing_when_anyone_may_send_them(serve: Serve) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        names = ["REMOTE_ADDR", "SERVER_NAME", "HTTP_HOST", "SCRIPT_NAME", "wsgi.url_scheme"]
        return json_answer([environ[name] for name in names], start_response)

    lines = [
        b"X-Forwarded-For: 203.0.113.9",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: evil.example",
        b"X-Forwarded-Prefix: /evil",
        b"X-Script-Name: /evil",
        b"Forwarded: for=203.0.113.9;proto=https;host=evil.example",
    ]
    answer = ask(serve(application).address, get(*lines))
    assert json.loads(answer.body) == ["127.0.0.1", "127.0.0.1", "a", "", "http"]


def test_request_over_a_unix_socket_has_a_complete_environ(tmp_path: Path) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        validate.check_environ(environ)  # type: ignore[attr-defined]
        return echo(environ, start_response)

    path = tmp_path / "socket"
    with Server(application, bind=f"unix:{path}"), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(TIMEOUT_S)
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with client.makefile("rb") as answer:
            environ = environ_of(answer.read().split(b"\r\n\r\n", 1)[1])
    # PEP 3333: these two are never empty.
    assert environ["SERVER_NAME"]
    assert environ["SERVER_PORT"]
    # There is no address to tell, and an invented one might be trusted.
    assert environ["REMOTE_ADDR"] == ""


def test_nothing_of_the_process_environment_is_in_the_environ(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BARKEEP_TEST_SECRET", "s3cret-value")
    monkeypatch.setenv("HTTP_X_ROLE", "admin")
    environ = environ_for(serve, GET)
    assert not os.environ.keys() & environ.keys()
    assert "s3cret-value" not in environ.values()


def test_wsgi_variables_are_true_to_the_facts(serve: Serve) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        assert type(environ["wsgi.version"]) is tuple
        names = ["version", "url_scheme", "multithread", "multiprocess", "run_once", "input_terminated"]
        return json_answer([environ[f"wsgi.{name}"] for name in names], start_response)

    for threads in (1, 2):
        answer = ask(serve(application, threads=threads).address, GET)
        assert json.loads(answer.body) == [[1, 0], "http", threads > 1, False, False, True]


def test_what_an_application_does_to_its_environ_ends_with_the_request(serve: Serve) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        answer = json_answer(sorted(environ), start_response)
        environ["left.behind"] = environ["REQUEST_METHOD"] = environ["SERVER_NAME"] = "changed"
        del environ["wsgi.version"]
        return answer

    with Client(serve(application, threads=1).address) as client:
        assert client.ask(GET).body == client.ask(GET).body


def test_each_request_has_its_own_values_whatever_the_one_before_had(serve: Serve) -> None:
    names = ["Host", "User-Agent", "Accept", "Cookie"]
    values = ["a", "b", "a" * 300, "a" * 256, "\xe9", "a"]
    with Client(serve(echo, threads=1).address) as client:
        for value in [*values, *reversed(values)]:
            host = "x" if len(value) > 200 or value == "\xe9" else value
            texts = [host, value, f"{value}!", value[:-1]]
            fields = "".join(f"{name}: {text}\r\n" for name, text in zip(names, texts, strict=True))
            client.send(f"GET / HTTP/1.1\r\n{fields}\r\n".encode("latin-1"))
            environ = environ_of(client.read_answer().body)
            assert [environ[f"HTTP_{name.upper().replace('-', '_')}"] for name in names] == texts


def test_connection_that_takes_the_place_of_a_closed_one_has_its_own_peer(serve: Serve) -> None:
    address = serve(echo, threads=1).address
    for _ in range(10):
        with Client(address) as client:
            for _ in range(2):
                environ = environ_of(client.ask(GET).body)
                peer = (environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"]))
                assert peer == client.socket.getsockname()


def test_chunked_body_that_is_received_whole_has_a_length_and_no_coding(serve: Serve) -> None:
    request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    environ = environ_for(serve, request)
    assert environ["CONTENT_LENGTH"] == "5"
    assert "HTTP_TRANSFER_ENCODING" not in environ
