"""Answer a request for one file: 200, 206, 304, 412 or 416 (RFC 9110 sections 13 and 14)."""

from __future__ import annotations

import os

from .ranges import if_range_holds, parse_ranges, precondition_status
from .response import answer_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

    from .fields import Headers
    from .ranges import ByteRange
    from .static_files import OpenFile

CHUNK_BYTES = 64 * 1024


class FileAnswer:
    """One request, the file that answers it, and the fields so far. The file is closed with the answer."""

    __slots__ = ("environ", "file", "headers", "start_response")

    def __init__(
        self, environ: WSGIEnvironment, start_response: StartResponse, file: OpenFile, headers: Headers
    ) -> None:
        # Imported when needed: email costs 10 ms.
        from email.utils import formatdate

        self.environ = environ
        self.start_response = start_response
        self.file = file
        modified = formatdate(file.modified_s, usegmt=True)
        self.headers = [
            *headers,
            ("ETag", file.etag),
            ("Last-Modified", modified),
            ("Accept-Ranges", "bytes"),
        ]


def answer_file(answer: FileAnswer) -> Iterable[bytes]:
    """Call start_response and return the body, whose close() closes the file; closed here when that fails."""
    try:
        body = _answer(answer)
    except BaseException:
        answer.file.close()
        raise
    if body is None:
        answer.file.close()
        return []
    return body


def _answer(answer: FileAnswer) -> Iterable[bytes] | None:
    """The body, which owns the file; None for none."""
    environ, file = answer.environ, answer.file
    status = precondition_status(environ, file.etag, file.modified_s)
    if status == "304 Not Modified":
        # Fields that would only describe a body stay away (section 15.4.5).
        kept = [pair for pair in answer.headers if pair[0] not in ("Content-Type", "Content-Encoding")]
        answer.start_response(status, kept)
        return None
    if status:
        file.close()
        return answer_text(environ, answer.start_response, status, "The file is another one by now.")
    is_head = environ["REQUEST_METHOD"] == "HEAD"
    # Ranges are defined for GET only (section 14.2).
    asked = "" if is_head else environ.get("HTTP_RANGE", "")
    if asked and if_range_holds(environ.get("HTTP_IF_RANGE", ""), file.etag, file.modified_s):
        ranges = parse_ranges(asked, file.size_bytes)
        if ranges is not None:
            return _answer_ranges(answer, ranges)
    answer.start_response("200 OK", [*answer.headers, ("Content-Length", str(file.size_bytes))])
    return None if is_head else _to_the_end(answer, 0)


def _to_the_end(answer: FileAnswer, first: int) -> Iterable[bytes]:
    """From one byte to the end of the file, by the server's own way where it has one."""
    wrapper = answer.environ.get("wsgi.file_wrapper")
    if wrapper is None:
        return _Sections(answer.file, [(b"", (first, answer.file.size_bytes - 1))], b"")
    answer.file.file.seek(first)
    wrapped: Iterable[bytes] = wrapper(answer.file.file, CHUNK_BYTES)
    return wrapped


def _answer_ranges(answer: FileAnswer, ranges: list[ByteRange]) -> Iterable[bytes] | None:
    size_bytes = answer.file.size_bytes
    if not ranges:
        told = [("Content-Range", f"bytes */{size_bytes}")]
        answer.file.close()
        return answer_text(
            answer.environ, answer.start_response, "416 Range Not Satisfiable", "The file is shorter.", told
        )
    if len(ranges) > 1:
        return _answer_parts(answer, ranges)
    first, last = ranges[0]
    told = [
        ("Content-Range", f"bytes {first}-{last}/{size_bytes}"),
        ("Content-Length", str(last - first + 1)),
    ]
    answer.start_response("206 Partial Content", answer.headers + told)
    if last == size_bytes - 1:
        return _to_the_end(answer, first)
    # A file wrapper goes on to the end of the file under some servers.
    return _Sections(answer.file, [(b"", ranges[0])], b"")


def _answer_parts(answer: FileAnswer, ranges: list[ByteRange]) -> Iterable[bytes]:
    """206 with multipart/byteranges (section 14.6)."""
    boundary = os.urandom(16).hex()
    kind = dict(answer.headers)["Content-Type"]
    sections = []
    for number, (first, last) in enumerate(ranges):
        line_end = "\r\n" if number else ""
        head = (
            f"{line_end}--{boundary}\r\nContent-Type: {kind}\r\n"
            f"Content-Range: bytes {first}-{last}/{answer.file.size_bytes}\r\n\r\n"
        )
        sections.append((head.encode("ascii"), (first, last)))
    tail = f"\r\n--{boundary}--\r\n".encode("ascii")
    length_bytes = sum(len(head) + last - first + 1 for head, (first, last) in sections) + len(tail)
    headers = [pair for pair in answer.headers if pair[0] != "Content-Type"]
    headers.append(("Content-Type", f"multipart/byteranges; boundary={boundary}"))
    headers.append(("Content-Length", str(length_bytes)))
    answer.start_response("206 Partial Content", headers)
    return _Sections(answer.file, sections, tail)


class _Sections:
    """Pieces of a file, each after its own head, then a tail. close() closes the file.

    A file that became shorter ends the body early: the server sees that it does not match Content-Length.
    """

    def __init__(self, file: OpenFile, sections: list[tuple[bytes, ByteRange]], tail: bytes) -> None:
        self._file = file
        self._sections = sections
        self._tail = tail
        self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        for head, (first, last) in self._sections:
            if head:
                yield head
            self._file.file.seek(first)
            bytes_left = last - first + 1
            while bytes_left:
                chunk = self._file.file.read(min(CHUNK_BYTES, bytes_left))
                if not chunk:
                    return
                bytes_left -= len(chunk)
                yield chunk
        if self._tail:
            yield self._tail
