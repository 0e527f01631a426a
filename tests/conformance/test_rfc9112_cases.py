"""RFC 9112: every raw request case of tests/cases through a real socket, and a sample cut at every byte."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

import pytest

from tests.apps import GET, Served, json_answer
from tests.case_files import Case, ExpectedRequest, read_cases
from tests.raw_client import Address, Answer, Client, CutAnswer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

CASES = {case.name: case for case in read_cases()}
assert len(CASES) > 300

# Short cases of every kind of ending; each is sent cut in two at every byte.
CUT = sorted(name for name, case in CASES.items() if len(case.data) <= 260)[::3]

# The next request may begin where these end. Two end within the one empty line that it may have before it.
BOUNDARIES = [name for name, case in CASES.items() if case.ends == "idle" and case.requests]


def tell(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """The facts of the request as JSON, with a mark that no refusal has."""
    body = environ["wsgi.input"].read().decode("latin-1")
    texts = {key: value for key, value in environ.items() if isinstance(value, str)}
    return json_answer({"environ": texts, "body": body}, start_response)


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    """One server for all cases."""
    served = Served(tell)
    yield served.address
    served.stop()


def receive(client: Client, case: Case) -> list[Answer]:
    """Every answer until the connection ends; the strict reader fails on anything else."""
    methods = [request.method for request in case.requests]
    if case.refusal_status is None and case.ends != "close":
        # Nothing is wrong and nothing asked to close: only the end of the client's side ends it.
        client.finish()
    answers: list[Answer] = []
    while True:
        method = methods[len(answers)] if len(answers) < len(methods) else "GET"
        try:
            answers.append(client.read_answer(method))
        except CutAnswer as end:
            if end.was_reset or "a status line" not in str(end):
                raise
            client.expect_close()
            return answers


def check(case: Case, answers: list[Answer]) -> None:
    """The answers are what the head of the case says, and no more."""
    if case.refusal_status is not None or case.ends.startswith("need-more"):
        refusal = answers.pop()
        assert refusal.status == (case.refusal_status or 400)
        assert refusal.head.field("Connection") == "close"
    # A request whose own body is refused has that refusal for its answer.
    is_body_refused = len(answers) == len(case.requests) - 1
    complete = case.requests[:-1] if is_body_refused else case.requests
    assert len(answers) == len(complete)
    for request, answer in zip(complete, answers, strict=True):
        assert answer.status == 200
        if request.method != "HEAD":
            check_facts(request, json.loads(answer.body))
    if answers:
        is_closed = case.ends == "close"
        assert answers[-1].head.all("Connection") == (["close"] if is_closed else keep_alive(complete[-1]))


def keep_alive(request: ExpectedRequest) -> list[str]:
    """What an answer says on a connection that stays open: HTTP/1.0 needs the word, HTTP/1.1 does not."""
    return ["keep-alive"] if request.line.endswith(b"HTTP/1.0") else []


def check_facts(request: ExpectedRequest, told: dict[str, Any]) -> None:
    """What the application was told is what the case says."""
    environ = {key: value.encode("latin-1") for key, value in told["environ"].items()}
    line = b" ".join([environ["REQUEST_METHOD"], environ["RAW_URI"], environ["SERVER_PROTOCOL"]])
    assert line == request.line
    for key, expected in request.facts.items():
        match key:
            case "body":
                assert told["body"].encode("latin-1") == expected
            case "path":
                # The asterisk is no path; PEP 3333 has only the empty one for it.
                assert environ["PATH_INFO"] == (b"" if expected == b"*" else unquote_to_bytes(expected))
            case "query":
                assert environ["QUERY_STRING"] == expected
            case "host":
                assert environ["HTTP_HOST"] == expected
            case "connection" | "continue":
                pass  # seen in the answer itself
            case _:
                pytest.fail(f"unknown fact {key}")
    if request.fields:
        assert http_keys(environ) == environ_keys(request)


def environ_keys(request: ExpectedRequest) -> dict[str, bytes]:
    """The keys that the fields of a case become (PEP 3333, environ Variables)."""
    keys: dict[str, bytes] = {}
    for name, value in request.fields:
        key = name.decode("latin-1").upper().replace("-", "_")
        if key in ("CONTENT_LENGTH", "TRANSFER_ENCODING", "PROXY", "HOST") or b"_" in name:
            continue  # told by other facts, or kept out of the environ on purpose
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        separator = b"; " if key == "HTTP_COOKIE" else b","
        keys[key] = keys[key] + separator + value if key in keys else value
    return keys


def http_keys(environ: dict[str, bytes]) -> dict[str, bytes]:
    """The keys of an environ that come from fields, but Host."""
    return {
        key: value
        for key, value in environ.items()
        if key == "CONTENT_TYPE" or (key.startswith("HTTP_") and key != "HTTP_HOST")
    }


@pytest.mark.parametrize("name", CASES)
def test_case_gives_what_its_head_says_through_a_socket(address: Address, name: str) -> None:
    case = CASES[name]
    with Client(address) as client:
        client.send(case.data)
        answers = receive(client, case)
    check(case, answers)


@pytest.mark.parametrize("name", BOUNDARIES)
def test_request_behind_a_complete_one_is_answered(address: Address, name: str) -> None:
    case = CASES[name]
    with Client(address) as client:
        client.send(case.data + b"GET /behind HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answers = [client.read_answer(request.method) for request in case.requests]
        behind = client.read_answer()
        client.expect_close()
    assert len(answers) == len(case.requests)
    assert json.loads(behind.body)["environ"]["PATH_INFO"] == "/behind"


@pytest.mark.parametrize("name", CUT)
def test_case_cut_at_any_byte_gives_the_same(address: Address, name: str) -> None:
    case = CASES[name]
    with Client(address) as other:
        for cut in range(1, len(case.data)):
            with Client(address) as client:
                client.send(case.data[:cut])
                # The I/O thread takes its connections in turn: once it has answered twice here, it
                # has met the first piece there.
                other.ask(GET)
                other.ask(GET)
                client.send(case.data[cut:])
                check(case, receive(client, case))


def test_case_in_single_bytes_gives_the_same(address: Address) -> None:
    for name in CUT[::4]:
        case = CASES[name]
        with Client(address) as client, Client(address) as other:
            for byte in case.data:
                client.send(bytes([byte]))
                other.ask(GET)
            check(case, receive(client, case))
