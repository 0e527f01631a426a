"""wsgi.py: the application is called as PEP 3333 says, whatever it does; the engine is a fake here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from barkeep.errors import ApplicationError, ClientGone
from barkeep.wsgi import answer, serve_exchanges, start_again

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _typeshed import OptExcInfo

    from barkeep._engine import Engine, Exchange

Application = Callable[[dict[str, Any], Any], Any]
HEAD = ("200 OK", [("Content-Type", "text/plain")])


class FakeExchange:
    """Remembers what the gateway asks of it, in order."""

    def __init__(self, gone_after: int | None = None) -> None:
        self.environ: dict[str, Any] = {}
        self.request = "GET /"
        self.asked: list[Any] = []
        self.head_is_sent = False
        self._writes_left = gone_after

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        if exc_info is not None:
            start_again(cast("Exchange", self), status, headers, exc_info)
        elif "head" in [kind for kind, _ in self.asked]:
            raise ApplicationError("start_response was called a second time")
        else:
            self.asked.append(("head", status))
        return self.write

    def replace_head(self, status: str, _headers: list[tuple[str, str]]) -> None:
        self.asked.append(("new head", status))

    def write(self, data: bytes) -> None:
        if self._writes_left is not None:
            self._writes_left -= 1
            if self._writes_left < 0:
                raise ClientGone("nobody is there")
        self.head_is_sent = self.head_is_sent or bool(data)
        self.asked.append(("chunk", data))

    def send_all(self, chunks: list[bytes]) -> None:
        self.asked.append(("all", list(chunks)))

    def finish(self) -> None:
        self.asked.append(("finish", None))

    def fail(self, status: int) -> str:
        self.asked.append(("fail", status))
        return "aborted" if self.head_is_sent else f"answered {status}"


class FakeEngine:
    """Gives these exchanges, then stops."""

    def __init__(self, *exchanges: FakeExchange) -> None:
        self.lines: list[tuple[str, str]] = []
        self._exchanges = list(exchanges)

    def application_thread(self, errors: object, _file_wrapper: object) -> FakeEngine:
        self.errors: Any = errors
        return self

    def take(self) -> FakeExchange | None:
        return self._exchanges.pop(0) if self._exchanges else None

    def log(self, level: str, text: str) -> None:
        self.lines.append((level, text))


class Chunks:
    """An iterable that counts its close() calls."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        self.closed += 1


def fail_to_find() -> None:
    """An error with a traceback of more than one step."""
    raise KeyError("key")


def returning(body: Any) -> Application:
    """An application that answers 200 with this body."""

    def application(_environ: dict[str, Any], start_response: Any) -> Any:
        start_response(*HEAD)
        return body

    return application


def asked_by(application: Application, exchange: FakeExchange | None = None) -> list[Any]:
    """What the gateway asks of the exchange for one call."""
    used = exchange or FakeExchange()
    answer(cast("Exchange", used), application)
    return used.asked


def run(application: Application, *exchanges: FakeExchange) -> FakeEngine:
    """Be an application thread for these exchanges."""
    engine = FakeEngine(*exchanges)
    serve_exchanges(cast("Engine", engine), application)
    return engine


@pytest.mark.parametrize("body", [[b"a", b"b"], (b"a", b"b"), [], [b"a"]])
def test_list_or_tuple_is_sent_as_one_body_of_known_length(body: Any) -> None:
    assert asked_by(returning(body)) == [("head", "200 OK"), ("all", list(body))]


def test_iterable_of_length_one_is_sent_as_one_body_of_known_length() -> None:
    class One(Chunks):
        def __len__(self) -> int:
            return 1

    chunks = One(iter([b"all"]))
    assert asked_by(returning(chunks)) == [("head", "200 OK"), ("all", [b"all"])]
    assert chunks.closed == 1


def test_generator_is_sent_chunk_by_chunk_and_finished() -> None:
    expected = [("head", "200 OK"), ("chunk", b"a"), ("chunk", b""), ("chunk", b"b"), ("finish", None)]
    assert asked_by(returning(iter([b"a", b"", b"b"]))) == expected


def test_generator_may_call_start_response_on_its_first_step() -> None:
    def application(_environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response(*HEAD)
        yield b"a"

    assert asked_by(application) == [("head", "200 OK"), ("chunk", b"a"), ("finish", None)]


def test_each_chunk_is_sent_before_the_next_is_asked_for() -> None:
    exchange = FakeExchange()

    def chunks() -> Iterator[bytes]:
        for number in range(3):
            assert len(exchange.asked) == 1 + number
            yield b"%d" % number

    asked_by(returning(chunks()), exchange)


def test_write_comes_before_what_is_returned() -> None:
    def application(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        write = start_response(*HEAD)
        write(b"first")
        return [b"second"]

    assert asked_by(application) == [("head", "200 OK"), ("chunk", b"first"), ("all", [b"second"])]


def test_close_is_called_once_after_success() -> None:
    chunks = Chunks(iter([b"a"]))
    asked_by(returning(chunks))
    assert chunks.closed == 1


def test_close_is_called_once_after_an_error_in_the_iterable() -> None:
    def failing() -> Iterator[bytes]:
        yield b"a"
        raise ValueError

    chunks = Chunks(failing())
    with pytest.raises(ValueError, match=r"^$"):
        asked_by(returning(chunks))
    assert chunks.closed == 1


def test_close_is_called_once_when_the_client_has_gone() -> None:
    chunks = Chunks(iter([b"a", b"b", b"c"]))
    with pytest.raises(ClientGone):
        asked_by(returning(chunks), FakeExchange(gone_after=1))
    assert chunks.closed == 1


def test_close_is_called_once_when_the_iterable_cannot_be_iterated() -> None:
    class Broken(Chunks):
        def __iter__(self) -> Iterator[bytes]:
            raise TypeError("not today")

    chunks = Broken(iter([]))
    with pytest.raises(TypeError, match="not today"):
        asked_by(returning(chunks))
    assert chunks.closed == 1


def test_error_information_replaces_a_head_that_was_not_sent() -> None:
    def application(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(*HEAD)
        try:
            fail_to_find()
        except KeyError:
            start_response("500 Oops", [], sys.exc_info())
        return [b"sorry"]

    assert asked_by(application) == [("head", "200 OK"), ("new head", "500 Oops"), ("all", [b"sorry"])]


def test_error_information_is_raised_again_when_the_head_was_sent() -> None:
    def application(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(*HEAD)(b"begun")
        try:
            fail_to_find()
        except KeyError:
            start_response("500 Oops", [], sys.exc_info())
        return [b"never"]

    exchange = FakeExchange()
    with pytest.raises(KeyError, match="key") as raised:
        asked_by(application, exchange)
    assert exchange.asked == [("head", "200 OK"), ("chunk", b"begun")]
    assert "application" in [entry.name for entry in raised.traceback]


def test_second_start_response_without_error_information_is_an_application_error() -> None:
    def application(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(*HEAD)
        start_response(*HEAD)
        return []

    with pytest.raises(ApplicationError, match="second time"):
        asked_by(application)


def test_start_response_takes_positional_arguments_only() -> None:
    def application(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(status="200 OK", headers=[])
        return []

    with pytest.raises(TypeError):
        asked_by(application)


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_thread_goes_on_after_whatever_the_application_raises(kind: type[BaseException]) -> None:
    def application(_environ: dict[str, Any], _start_response: Any) -> list[bytes]:
        raise kind("on purpose")

    first, second = FakeExchange(), FakeExchange()
    engine = run(application, first, second)
    assert [exchange.asked for exchange in (first, second)] == [[("fail", 500)]] * 2
    (level, text), _ = engine.lines
    assert level == "error"
    assert text.startswith("GET / answered 500: the application failed\nTraceback")
    assert text.endswith("on purpose")


def test_client_gone_is_not_logged_and_the_thread_goes_on() -> None:
    first, second = FakeExchange(gone_after=0), FakeExchange()
    engine = run(returning(iter([b"a"])), first, second)
    assert first.asked == [("head", "200 OK"), ("fail", 500)]
    assert ("fail", 500) not in second.asked
    assert engine.lines == []


def test_unfinished_line_of_wsgi_errors_is_logged_after_the_request() -> None:
    engines: list[FakeEngine] = []

    def application(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        engines[0].errors.write("unfinished")
        start_response(*HEAD)
        return []

    engine = FakeEngine(FakeExchange(), FakeExchange())
    engines.append(engine)
    serve_exchanges(cast("Engine", engine), application)
    assert engine.lines == [("error", "unfinished")] * 2
