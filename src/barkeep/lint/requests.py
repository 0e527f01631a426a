"""The requests that lint drives an application with: methods, bodies, conditions, ranges, early ends."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Methods that must change nothing (RFC 9110, section 9.2.1).
SAFE = ("GET", "HEAD", "OPTIONS")

FORM = b"name=value&text=%C3%A9t%C3%A9&empty="
JSON = b'{"name": "value", "list": [1, 2, 3], "nothing": null}'
# Above what frameworks keep in memory, and no multiple of any block.
LARGE_BYTES = 1024 * 1024 + 1

# A path that no application is likely to have: its 404 is looked at too.
MISSING = "/barkeep-lint/no/such/path"


class LintRequest:
    """One request to be sent.

    body: bytes, or pieces of a chunked body. chunks_taken: close() is called after so many; None is all.
    is_bare: only the variables that PEP 3333 requires are in the environ.
    """

    __slots__ = ("body", "chunks_taken", "headers", "is_bare", "method", "target")

    def __init__(
        self,
        method: str,
        target: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | list[bytes] = b"",
        chunks_taken: int | None = None,
        is_bare: bool = False,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = tuple(headers)
        self.body = body
        self.chunks_taken = chunks_taken
        self.is_bare = is_bare


def make_requests(targets: Iterable[str], *, safe_only: bool = False) -> Iterator[LintRequest]:
    """All requests for these targets. safe_only: only those that must change nothing."""
    for target in targets:
        yield from _reading(target)
        if not safe_only:
            yield from _writing(target)
    yield LintRequest("GET", MISSING)
    yield LintRequest("GET", "/caf%C3%A9/%E2%82%AC?q=%F0%9F%8D%B8&q=&q")
    yield LintRequest("GET", "//%2F..%2F/%00?%ZZ&&=&;")


def _reading(target: str) -> Iterator[LintRequest]:
    for method in SAFE:
        yield LintRequest(method, target)
    yield LintRequest("GET", target, is_bare=True)
    yield LintRequest("GET", target, chunks_taken=0)
    yield LintRequest("GET", target, chunks_taken=1)
    yield LintRequest("GET", target, headers=[("If-None-Match", "*")])
    yield LintRequest("GET", target, headers=[("If-None-Match", '"barkeep", W/"lint"')])
    yield LintRequest("GET", target, headers=[("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT")])
    yield LintRequest("GET", target, headers=[("If-Modified-Since", "no date")])
    yield LintRequest("GET", target, headers=[("Range", "bytes=0-0")])
    yield LintRequest("GET", target, headers=[("Range", "bytes=0-0,-1")])
    yield LintRequest("GET", target, headers=[("Range", "bytes=999999999999-")])
    yield LintRequest("HEAD", target, headers=[("Range", "bytes=0-0"), ("If-None-Match", "*")])
    yield LintRequest("GET", target, headers=[("Accept", "application/json"), ("Accept-Encoding", "gzip")])
    yield LintRequest("GET", target, headers=[("Cookie", 'a=b; =; ;;"'), ("Authorization", "Basic !")])
    # A body where none is expected may be ignored.
    yield LintRequest("GET", target, body=b"unread")


def _writing(target: str) -> Iterator[LintRequest]:
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    yield LintRequest("POST", target, headers=form, body=FORM)
    yield LintRequest("POST", target, headers=form)
    yield LintRequest("POST", target, headers=form, body=[FORM[:1], FORM[1:9], b"", FORM[9:]])
    yield LintRequest("POST", target, headers=[("Content-Type", "application/json")], body=JSON)
    yield LintRequest("POST", target, headers=[("Content-Type", "application/json")], body=b"{")
    yield LintRequest("POST", target, headers=_multipart_fields(), body=_multipart_body())
    octets = [("Content-Type", "application/octet-stream")]
    yield LintRequest("POST", target, headers=octets, body=bytes(LARGE_BYTES))
    yield LintRequest("POST", target, headers=octets, body=b"\xff\xfe\n\r\n\x00" * 100, chunks_taken=0)
    for method in ("PUT", "PATCH"):
        yield LintRequest(method, target, headers=octets, body=b"new content")
    yield LintRequest("DELETE", target)
    yield LintRequest("BREW", target)


def _multipart_fields() -> list[tuple[str, str]]:
    return [("Content-Type", "multipart/form-data; boundary=barkeep-lint")]


def _multipart_body() -> bytes:
    return (
        b'--barkeep-lint\r\nContent-Disposition: form-data; name="text"\r\n\r\nvalue\r\n'
        b'--barkeep-lint\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n\x00\x01\xff\r\n--barkeep-lint--\r\n"
    )
