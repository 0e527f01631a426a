"""RFC 3875 - `python -m barkeep.cgi`: environment and standard input in, an answer on standard output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

VARIABLES = {
    "GATEWAY_INTERFACE": "CGI/1.1",
    "QUERY_STRING": "a=b",
    "PATH_INFO": "/caf\u00e9",
    "REMOTE_ADDR": "192.0.2.7",
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "/cgi-bin/site",
    "SERVER_NAME": "shop.example",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "SERVER_SOFTWARE": "test",
    "HTTP_HOST": "shop.example",
}


def start(target: str, *options: str, **variables: Any) -> subprocess.Popen[bytes]:
    """The process that a server would make for one request."""
    path = os.pathsep.join([str(ROOT), *sys.path])
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "SECRET": "s3"}
    environ.update({name: value for name, value in {**VARIABLES, **variables}.items() if value != "-"})
    words = [sys.executable, "-m", "barkeep.cgi", *options]
    words += [f"tests.cgi_applications:{target}"] if target else []
    pipe = subprocess.PIPE
    return subprocess.Popen(words, cwd=ROOT, env=environ, stdin=pipe, stdout=pipe, stderr=pipe)


def run(target: str, *options: str, body: bytes = b"", **variables: Any) -> tuple[bytes, str, int]:
    """(answer, standard error, exit code)."""
    with start(target, *options, **variables) as process:
        out, err = process.communicate(body, timeout=60)
    return out, err.decode(), process.returncode


def echoed(**variables: Any) -> dict[str, Any]:
    """The environ that the application sees."""
    answer, err, _code = run("echo", **variables)
    assert err == ""
    environ: dict[str, Any] = json.loads(answer.partition(b"\n\n")[2])["environ"]
    return environ


# -- section 4: the request ------------------------------------------------------------------------


def test_meta_variables_are_in_the_environ_as_latin_1() -> None:
    environ = echoed()
    assert {name: environ[name] for name in VARIABLES if name != "PATH_INFO"} == {
        name: value for name, value in VARIABLES.items() if name != "PATH_INFO"
    }
    assert environ["PATH_INFO"].encode("latin-1") == "/caf\u00e9".encode()


def test_process_environment_is_not_the_requests() -> None:
    assert not {"PATH", "PYTHONPATH", "SECRET"} & set(echoed())


def test_wsgi_variables_tell_what_a_cgi_process_is() -> None:
    environ = echoed()
    assert (environ["wsgi.multithread"], environ["wsgi.multiprocess"], environ["wsgi.run_once"]) == (
        False,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("variables", "scheme"),
    [
        ({}, "http"),
        ({"HTTPS": "on"}, "https"),
        ({"HTTPS": "off"}, "http"),
        ({"REQUEST_SCHEME": "https"}, "https"),
    ],
)
def test_scheme_is_what_the_server_says(variables: dict[str, str], scheme: str) -> None:
    assert echoed(**variables)["wsgi.url_scheme"] == scheme


@pytest.mark.parametrize(
    ("variables", "script", "path"),
    [
        ({"SCRIPT_NAME": "/", "PATH_INFO": "/a"}, "", "/a"),
        ({"SCRIPT_NAME": "-", "PATH_INFO": "-"}, "", "/"),
        ({"PATH_INFO": "-"}, "/cgi-bin/site", ""),
    ],
)
def test_paths_are_as_pep_3333_wants_them(variables: dict[str, str], script: str, path: str) -> None:
    environ = echoed(**variables)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == (script, path)


def test_proxy_field_is_nowhere() -> None:
    answer, _err, _code = run("echo", HTTP_PROXY="http://evil.example")
    told = json.loads(answer.partition(b"\n\n")[2])
    assert ("HTTP_PROXY" in told["environ"], told["proxy"]) == (False, False)


def test_body_ends_at_content_length() -> None:
    answer, _err, _code = run("echo", body=b"body and more", REQUEST_METHOD="POST", CONTENT_LENGTH="4")
    assert json.loads(answer.partition(b"\n\n")[2])["body"] == "body"


def test_body_without_a_length_ends_with_the_stream_when_it_was_chunked() -> None:
    answer, _err, _code = run(
        "echo", body=b"all of it", REQUEST_METHOD="POST", HTTP_TRANSFER_ENCODING="chunked"
    )
    assert json.loads(answer.partition(b"\n\n")[2])["body"] == "all of it"


def test_body_that_is_cut_short_is_answered_with_400() -> None:
    answer, err, code = run("echo", body=b"bo", REQUEST_METHOD="POST", CONTENT_LENGTH="4")
    assert answer.startswith(b"Status: 400 Bad Request\n")
    assert "the request body ended 2 bytes before its length" in err
    assert code == 1


def test_length_that_is_no_number_is_answered_with_400() -> None:
    answer, err, _code = run("echo", CONTENT_LENGTH="-4")
    assert answer.startswith(b"Status: 400 Bad Request\n")
    assert 'CONTENT_LENGTH must be a number, found "-4"' in err


def test_lint_has_nothing_to_say_about_this_server() -> None:
    answer, err, _code = run("findings", body=b"body", REQUEST_METHOD="POST", CONTENT_LENGTH="4")
    assert (answer.partition(b"\n\n")[2], err) == (b"", "")


# -- section 5: NPH --------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "script"), [(["--nph"], "/cgi-bin/site"), ([], "/cgi-bin/nph-site")])
def test_nph_script_gives_a_whole_http_message(options: list[str], script: str) -> None:
    answer, _err, _code = run("with_fields(('X-A', 'b'))", *options, SCRIPT_NAME=script)
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert lines[1:4] == ["Content-Type: text/plain", "X-A: b", "Content-Length: 4"]
    assert [line.partition(":")[0] for line in lines[4:]] == ["Date", "Connection"]
    assert body == b"body"


# -- section 6: the answer -------------------------------------------------------------------------


def test_answer_begins_with_the_status_and_keeps_all_fields() -> None:
    answer, _err, code = run("echo")
    head = answer.partition(b"\n\n")[0].decode().split("\n")
    assert head[:4] == ["Status: 200 OK", "Content-Type: application/json", "X-Twice: 1", "X-Twice: 2"]
    assert head[4].startswith("Content-Length: ")
    assert code == 0


def test_chunk_is_on_its_way_before_the_next_is_made() -> None:
    with start("in_steps", REQUEST_METHOD="POST", CONTENT_LENGTH="8") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"one\n")
        process.stdin.flush()
        while process.stdout.readline() != b"\n":
            pass
        assert process.stdout.readline() == b"got one\n"
        process.stdin.write(b"two\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"got two\n"
        assert process.stdout.read() == b""


def test_head_request_gets_the_head_alone() -> None:
    answer, _err, _code = run("echo", REQUEST_METHOD="HEAD")
    assert answer.endswith(b"\n\n")
    assert b"\nContent-Length: " in answer


def test_answer_without_a_body_has_none() -> None:
    assert run("not_modified")[0] == b'Status: 304 Not Modified\nETag: "a"\n\n'


def test_file_is_sent_with_its_length() -> None:
    answer, _err, _code = run("file")
    head, _, body = answer.partition(b"\n\n")
    content = (ROOT / "tests" / "cgi_applications.py").read_bytes()
    assert body == content
    assert f"Content-Length: {len(content)}".encode() in head.split(b"\n")


def test_what_is_printed_goes_to_the_servers_log_and_the_body_stays_unread() -> None:
    answer, err, _code = run("printing", body=b"body", REQUEST_METHOD="POST", CONTENT_LENGTH="4")
    assert answer.partition(b"\n\n")[2] == b"body"
    assert "this is not the answer" in err


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["failing", "exiting"])
def test_failure_before_the_head_is_answered_with_500(target: str) -> None:
    answer, err, code = run(target)
    assert answer.startswith(b"Status: 500 Internal Server Error\nContent-Type: text/plain\n")
    assert (
        "barkeep.cgi: GET /cgi-bin/site/caf\\xc3\\xa9 answered 500: the application failed\nTraceback" in err
    )
    assert code == 1


def test_failure_after_the_head_cuts_the_answer() -> None:
    answer, err, code = run("failing_later")
    assert answer.endswith(b"\n\nbegun")
    assert "cut: the application failed" in err
    assert "KeyError: 'after the head'" in err
    assert code == 1


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("with_fields(('X-A', 'b\\nX-Injected: c'))", "a header value has a control character"),
        ("with_fields(('Status', '404 Not Found'))", "a Status header field was given"),
        ("with_fields(('Connection', 'close'))", "a hop-by-hop header field was given"),
        ("with_fields(status='200')", "the status is not three digits"),
    ],
)
def test_head_that_must_not_be_sent_is_answered_with_500(call: str, told: str) -> None:
    answer, err, _code = run(call)
    assert answer.startswith(b"Status: 500 Internal Server Error\n")
    assert told in err


def test_body_above_its_length_is_cut_there() -> None:
    answer, err, _code = run("with_fields(('Content-Length', '2'))")
    assert answer.endswith(b"\n\nbo")
    assert "the body is longer than Content-Length" in err


def test_body_below_its_length_is_told() -> None:
    answer, err, code = run("with_fields(('Content-Length', '9'))")
    assert answer.endswith(b"Content-Length: 9\n\nbody")
    assert "the body ended 5 bytes before its Content-Length" in err
    assert code == 1


def test_close_is_called_when_the_server_ends_the_process() -> None:
    with start("Closing", REQUEST_METHOD="POST", CONTENT_LENGTH="4") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while process.stdout.readline() != b"\n":
            pass
        process.send_signal(signal.SIGTERM)
        assert process.stderr.read() == b"close was called\n"
    assert process.returncode == 143


def test_close_is_not_interrupted_by_a_server_that_has_the_whole_answer() -> None:
    answer, err, code = run("EndedWhileClosing")
    assert answer.endswith(b"\n\nbody")
    assert (err, code) == ("close came to its end\n", 0)


def test_close_is_called_when_nobody_reads_any_more() -> None:
    with start("Closing", REQUEST_METHOD="POST", CONTENT_LENGTH="100") as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stderr is not None
        while process.stdout.readline() != b"\n":
            pass
        process.stdout.close()
        process.stdin.write(b"x")
        process.stdin.flush()
        assert process.stderr.read() == b"close was called\n"
    assert process.returncode == 0


def test_application_that_cannot_be_loaded_is_answered_with_500() -> None:
    answer, err, code = run("nothing_of_this_name")
    assert answer.startswith(b"Status: 500 Internal Server Error\n")
    assert 'has no name "nothing_of_this_name"' in err
    assert code == 3


@pytest.mark.parametrize(
    ("target", "options", "told"),
    [
        ("", [], "a TARGET is needed"),
        ("echo", ["--what"], 'there is no option "--what"'),
        ("echo", ["other:app"], 'one TARGET is needed, found "other:app" and'),
        ("echo", ["--chdir", "/no/such/place"], "--chdir must be a directory: No such file or directory."),
        ("", ["--chdir"], "--chdir needs a value"),
    ],
)
def test_wrong_words_are_one_line(target: str, options: list[str], told: str) -> None:
    _answer, err, code = run(target, *options)
    assert told in err
    assert (len(err.splitlines()), code) == (1, 2)


def test_started_by_hand_it_says_that_a_server_does_that() -> None:
    _answer, err, code = run("echo", REQUEST_METHOD="-", SERVER_NAME="-")
    assert "is run by a web server, found no REQUEST_METHOD, SERVER_NAME in the environment" in err
    assert code == 2
