"""Applications that break one rule each: what lint must find, and what wsgiref.validate is compared on."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Application = Callable[[dict[str, Any], Any], Any]

PLAIN = ("Content-Type", "text/plain")


def with_head(status: Any, headers: Any, body: Any = ()) -> Application:
    """An application that answers with this head, whatever it is."""

    def application(_environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, headers)
        return list(body)

    return application


def with_body(body: Callable[[], Any]) -> Application:
    """An application that answers 200 with what `body` gives."""

    def application(_environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        return body()

    return application


def with_environ(use: Callable[[dict[str, Any]], object]) -> Application:
    """An application that does something with its environ, and answers 200."""

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        use(environ)
        start_response("200 OK", [PLAIN])
        return []

    return application


class Text(str):
    """A lazy or marked-up string, as frameworks have."""

    __slots__ = ()


def never_starts(_environ: Any, _start_response: Any) -> Any:
    return []


def never_starts_and_gives(_environ: Any, _start_response: Any) -> Any:
    return [b"body"]


def starts_late(_environ: Any, start_response: Any) -> Iterator[bytes]:
    yield b""
    start_response("200 OK", [PLAIN])
    yield b"late"


def starts_twice(_environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [PLAIN])
    start_response("404 Not Found", [PLAIN])
    return []


def gives_odd_exc_info(_environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [PLAIN], ValueError("not a tuple"))
    return []


def starts_by_name(_environ: Any, start_response: Any) -> Any:
    start_response(status="200 OK", headers=[PLAIN])
    return []


def changes_headers(_environ: Any, start_response: Any) -> Any:
    headers = [PLAIN]
    start_response("200 OK", headers)
    headers.append(("X-Late", "1"))
    return [b"body"]


def swallows_error(_environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [PLAIN])
    yield b"begun"
    try:
        raise ValueError("in the middle")  # noqa: TRY301
    except ValueError:
        try:
            start_response("500 Internal Server Error", [PLAIN], sys.exc_info())
        except ValueError:
            pass
    yield b"went on"


class StartsInClose:
    def __init__(self, _environ: Any, start_response: Any) -> None:
        self.start_response = start_response
        start_response("200 OK", [PLAIN])

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"body"])

    def close(self) -> None:
        self.late = Late(self.start_response)
        kept.append(self.late)


class Late:
    """Calls start_response when the exchange is over."""

    def __init__(self, start_response: Any) -> None:
        self.start_response = start_response

    def run(self) -> None:
        self.start_response("200 OK", [PLAIN])


kept: list[Late] = []


class ClosesBadly:
    def __init__(self, _environ: Any, start_response: Any) -> None:
        start_response("200 OK", [PLAIN])

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"body"])

    def close(self) -> None:
        raise ValueError("in close")


class LiesAboutLength:
    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"one", b"two"])


def writes(data: Any) -> Application:
    def application(_environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])(data)
        return []

    return application


def writes_while_iterating(_environ: Any, start_response: Any) -> Iterator[bytes]:
    write = start_response("200 OK", [PLAIN])
    yield b"one"
    write(b"two")
    yield b"three"


def fails(_environ: Any, _start_response: Any) -> Any:
    raise KeyError("QUERY_STRING")


def exits(_environ: Any, _start_response: Any) -> Any:
    sys.exit(3)


def length(value: str) -> tuple[str, str]:
    return ("Content-Length", value)


def read_twice(environ: dict[str, Any]) -> None:
    environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    environ["wsgi.input"].read(1)


# (code, application). Each is called with a POST of six bytes.
BROKEN: list[tuple[str, Any]] = [
    ("BK101", never_starts),
    ("BK101", never_starts_and_gives),
    ("BK102", starts_late),
    ("BK103", starts_twice),
    ("BK104", with_head(b"200 OK", [PLAIN])),
    ("BK104", with_head(Text("200 OK"), [PLAIN])),
    ("BK105", with_head("200", [PLAIN])),
    ("BK105", with_head("OK", [PLAIN])),
    ("BK105", with_head("2000 OK", [PLAIN])),
    ("BK105", with_head("200 OK\r\nX-Injected: 1", [PLAIN])),
    ("BK106", with_head("100 Continue", [PLAIN])),
    ("BK106", with_head("099 Low", [PLAIN])),
    ("BK107", with_head("200 OK", (PLAIN,))),
    ("BK107", with_head("200 OK", {"Content-Type": "text/plain"})),
    ("BK108", with_head("200 OK", [["Content-Type", "text/plain"]])),
    ("BK108", with_head("200 OK", [PLAIN, ("X-Three", "1", "2")])),
    ("BK109", with_head("200 OK", [PLAIN, ("X-Count", 3)])),
    ("BK109", with_head("200 OK", [PLAIN, (b"X-Name", "3")])),
    ("BK110", with_head("200 OK", [PLAIN, ("X Name", "3")])),
    ("BK110", with_head("200 OK", [PLAIN, ("X-Name:", "3")])),
    ("BK111", with_head("200 OK", [PLAIN, ("X-Name-", "3")])),
    ("BK111", with_head("200 OK", [PLAIN, ("3-Name", "3")])),
    ("BK112", with_head("200 OK", [PLAIN, ("X-Name", "a\r\nX-Injected: 1")])),
    ("BK113", with_head("200 OK", [PLAIN, ("X-Name", "padded ")])),
    ("BK114", with_head("200 OK", [PLAIN, ("X-Name", "\u20ac")])),
    ("BK114", with_head("200 \u20ac", [PLAIN])),
    ("BK115", with_head("200 OK", [PLAIN, ("Connection", "close")])),
    ("BK115", with_head("200 OK", [PLAIN, ("Transfer-Encoding", "chunked")])),
    ("BK116", with_head("200 OK", [PLAIN, ("Status", "404 Not Found")])),
    ("BK117", with_head("200 OK", [])),
    ("BK118", with_head("204 No Content", [PLAIN])),
    ("BK119", with_head("200 OK", [PLAIN, length("four")])),
    ("BK119", with_head("200 OK", [PLAIN, length("0"), length("0")])),
    ("BK120", with_head("200 OK", [PLAIN, ("ETag", '"a"'), ("ETag", '"b"')])),
    ("BK121", gives_odd_exc_info),
    ("BK122", starts_by_name),
    ("BK123", changes_headers),
    ("BK124", swallows_error),
    ("BK126", with_head("401 Unauthorized", [PLAIN])),
    ("BK126", with_head("206 Partial Content", [PLAIN])),
    ("BK127", with_head("200 OK", [PLAIN, ("Server", "mine")])),
    ("BK128", with_head("204 No Content", [length("0")])),
    ("BK201", with_body(lambda: None)),
    ("BK202", with_body(lambda: "text")),
    ("BK202", with_body(lambda: b"bytes")),
    ("BK203", with_body(lambda: ["text"])),
    ("BK203", with_body(lambda: [bytearray(b"array")])),
    ("BK203", with_body(lambda: bytearray(b"array"))),
    ("BK204", with_head("304 Not Modified", [("ETag", '"a"')], [b"body"])),
    ("BK206", with_head("200 OK", [PLAIN, length("5")], [b"four"])),
    ("BK207", with_head("200 OK", [PLAIN, length("3")], [b"four"])),
    ("BK208", with_body(lambda: (bytes([byte]) for byte in b"x" * 100))),
    ("BK209", with_body(LiesAboutLength)),
    ("BK210", ClosesBadly),
    ("BK211", fails),
    ("BK212", exits),
    ("BK213", with_body(lambda: io.BytesIO(b"one\ntwo\n"))),
    ("BK214", writes(b"written")),
    ("BK215", writes("text")),
    ("BK216", writes_while_iterating),
    ("BK217", with_body(lambda: (b"" for _ in range(1000)))),
    ("BK301", with_environ(lambda environ: environ["wsgi.input"].read())),
    ("BK302", with_environ(lambda environ: environ["wsgi.input"].read(7))),
    ("BK302", with_environ(read_twice)),
    ("BK303", with_environ(lambda environ: environ["wsgi.input"].close())),
    ("BK304", with_environ(lambda environ: environ["wsgi.errors"].close())),
    ("BK305", with_environ(lambda environ: environ["wsgi.errors"].write(b"bytes"))),
    ("BK306", with_environ(lambda environ: environ["wsgi.input"].bytes_read)),
    ("BK308", with_environ(lambda environ: environ["wsgi.input"].readline(1, 2))),
]
