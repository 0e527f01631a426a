"""Lint's knowledge of one exchange: what was given so far, and which rule each next step breaks."""

from __future__ import annotations

from . import places
from .check_head import (
    BODILESS,
    check_exc_info,
    check_fields,
    check_status,
    check_whole,
    content_length_of,
    status_code_of,
)
from .record import Finding, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .record import Recorder

# So many chunks of so few bytes on average are told.
TINY_CHUNKS = 64
TINY_BYTES = 8
# So many empty chunks in a row are told.
EMPTY_CHUNKS = 1000


class Watch:
    """One call of the application, until its close().

    outer: the watch of a Lint around the middleware that called this one, or None.
    is_called: the application has returned. is_closed: close() was called.
    chunks_unanswered: chunks taken from a Lint within since the last one was given on.
    is_owed_exc_info: a Lint within has seen exc_info that did not come through yet.
    bytes_written_inside: bytes that a Lint within has seen going to write().
    """

    def __init__(
        self,
        recorder: Recorder,
        report: Callable[[Finding], object],
        request: str,
        is_head: bool,
        outer: Watch | None,
        application: places.Place,
    ) -> None:
        self._recorder = recorder
        self._report = report
        self.request = request
        self.is_head = is_head
        self.outer = outer
        self.caller = places.of_caller()
        self.application = application
        self.is_called = False
        self.is_closed = False
        self.chunks_unanswered = 0
        self.is_owed_exc_info = False
        self.bytes_written_inside = 0

        # The head.
        self.head_is_given = False
        self._headers: object = None
        self._headers_then: list[object] = []
        self._head_place = places.UNKNOWN
        self._status_code = 0
        self._content_length: int | None = None
        self._reraised: BaseException | None = None
        self._of_caller: BaseException | None = None

        # The body.
        self.bytes_given = 0
        self.chunks_given = 0
        self._chunks_with_bytes = 0
        self._empty_in_a_row = 0

    def fault(self, code: str, seen: str, place: places.Place | None = None) -> None:
        """The application broke a rule; without a place it is the user's frame that is running now."""
        self._recorder.add(code, seen, place or places.of_caller(), self.request, self._report)

    def caller_fault(self, code: str, seen: str) -> None:
        """Who called the application broke a rule."""
        self._recorder.add(code, seen, self.caller, self.request, self._report)

    def start(self, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> BaseException | None:
        """start_response is called: check what it was given."""
        if keywords or len(arguments) not in (2, 3):
            self.fault("BK122", f"start_response{show(arguments)} with {show(keywords)}")
        values = list(arguments) + list(keywords.values())
        status, headers, exc_info = (*values, None, None, None)[:3]
        if self.is_closed:
            self.fault("BK125", f"start_response({show(status)}, ...) after close()")
        elif self.head_is_given and not exc_info:
            self.fault("BK103", f"start_response({show(status)}, ...) after {self._status_code}")
        elif self.chunks_given and not self.head_is_given:
            self.fault("BK102", f"start_response({show(status)}, ...) after {self.chunks_given} chunks")
        for code, seen in (
            *check_status(status),
            *check_fields(headers),
            *check_whole(status, headers),
            *check_exc_info(exc_info),
        ):
            self.fault(code, seen)
        outer = self.outer
        if exc_info and outer is not None and outer.head_is_given and not outer.is_closed:
            # Its first head has gone on already, so only exc_info can replace it.
            outer.is_owed_exc_info = True
        if exc_info:
            self.is_owed_exc_info = False
        self.head_is_given = True
        self._headers = headers
        self._headers_then = list(headers) if isinstance(headers, list) else []
        self._head_place = places.of_caller()
        self._status_code = status_code_of(status)
        self._content_length = content_length_of(headers)
        error = exc_info[1] if isinstance(exc_info, tuple) and len(exc_info) == 3 else None
        return error if isinstance(error, BaseException) else None

    def start_returned(self, write: object, error: BaseException | None) -> None:
        """The caller's start_response came back."""
        if not callable(write):
            self.caller_fault("BK511", f"start_response gave {show(write)}")
        if error is not None and self.bytes_given and not self.is_closed:
            self.caller_fault("BK516", f"{self.bytes_given} bytes of the body had been given")

    def start_raised(self, given: BaseException | None, raised: BaseException) -> None:
        """The caller's start_response raised; with exc_info that ends the answer."""
        self.caller_raised(raised)
        if given is not None and raised is given:
            self._reraised = raised

    def caller_raised(self, error: BaseException) -> None:
        """Something of the caller's raised: when it comes through the application, it is not its fault."""
        self._of_caller = error

    def write(self, data: object) -> None:
        """write() is called."""
        if type(data) is not bytes:
            self.fault("BK215", f"write({show(data)}), of type {type(data).__name__}")
        if self.is_called:
            self.fault("BK216", f"write({show(data)}) after the application had returned")
        self.fault("BK214", f"write({show(data)})")
        if self.outer is not None and isinstance(data, bytes):
            self.outer.bytes_written_inside += len(data)
        # Middleware may hand on with write() what it has taken.
        self.chunks_unanswered = 0
        self._count(data, places.of_caller())

    def give(self, chunk: object, place: places.Place) -> None:
        """The iterable gave a chunk; place is where it stands."""
        if type(chunk) is not bytes:
            self.fault("BK203", f"a chunk is {show(chunk)}, of type {type(chunk).__name__}", place)
        if not self.head_is_given and not self.chunks_given:
            code = "BK102" if place is not self.application else "BK101"
            self.fault(code, f"the first chunk, {show(chunk)}, came before start_response", place)
        self._check_going_on(place)
        self._check_boundaries()
        self.chunks_given += 1
        self._count(chunk, place)

    def end(self, place: places.Place, announced: int | None) -> None:
        """The iterable has ended. announced: what its len() was, if it had one."""
        if not self.head_is_given and not self.chunks_given:
            self.fault("BK101", "the answer ended without start_response", place)
        self._check_going_on(place)
        if announced is not None and announced != self.chunks_given:
            self.fault("BK209", f"len() was {announced}, and there were {self.chunks_given} chunks", place)
        wanted = self._content_length
        if wanted is not None and self.bytes_given < wanted and not self.is_head and not self._is_bodiless:
            self.fault("BK206", f"Content-Length is {wanted}, the body {self.bytes_given} bytes", place)

    def close(self) -> None:
        """close() is called for the first time."""
        self.is_closed = True
        self._check_headers_kept()
        if self._chunks_with_bytes >= TINY_CHUNKS and self.bytes_given < TINY_BYTES * self._chunks_with_bytes:
            seen = f"{self._chunks_with_bytes} chunks for {self.bytes_given} bytes"
            self.fault("BK208", seen, self.application)
        if self.is_owed_exc_info:
            self.fault(
                "BK402", "the application gave exc_info, and it did not come through", self.application
            )
        written = self.bytes_written_inside
        if written and not self.bytes_given and not self.is_head and not self._is_bodiless:
            self.fault("BK403", f"{written} bytes were written, and none came through", self.application)
        # Errors hold their frames, and with them everything of this exchange.
        self._reraised = self._of_caller = None

    def raised(self, error: BaseException) -> None:
        """The application or its iterable raised, and the caller will see it."""
        self.is_owed_exc_info = False
        if error is self._of_caller or getattr(error, "is_meant", False):
            self._reraised = None
            return
        place = places.of_traceback(error.__traceback__)
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            self.fault("BK212", f"{type(error).__name__}: {show(str(error))}", place)
        elif isinstance(error, Exception):
            self.fault("BK211", f"{type(error).__name__}: {show(str(error))}", place)

    @property
    def _is_bodiless(self) -> bool:
        return self._status_code in BODILESS

    def _count(self, chunk: object, place: places.Place) -> None:
        size = len(chunk) if isinstance(chunk, bytes) else 0
        self._empty_in_a_row = 0 if size else self._empty_in_a_row + 1
        if self._empty_in_a_row == EMPTY_CHUNKS:
            self.fault("BK217", f"{EMPTY_CHUNKS} empty chunks in a row", place)
        if not size:
            return
        self._chunks_with_bytes += 1
        before, self.bytes_given = self.bytes_given, self.bytes_given + size
        if self._is_bodiless:
            self.fault("BK204", f"{self._status_code} with a body: {show(chunk)}", place)
        wanted = self._content_length
        if wanted is not None and before <= wanted < self.bytes_given and not self.is_head:
            self.fault("BK207", f"Content-Length is {wanted}, the body {self.bytes_given} bytes", place)
        self._check_headers_kept()

    def _check_going_on(self, place: places.Place) -> None:
        if self._reraised is not None:
            kind = type(self._reraised).__name__
            self.fault("BK124", f"the answer went on after start_response raised {kind}", place)
            self._reraised = None

    def _check_headers_kept(self) -> None:
        if isinstance(self._headers, list) and self._headers != self._headers_then:
            self.fault("BK123", f"the list is now {show(self._headers)}", self._head_place)
            self._headers_then = list(self._headers)

    def _check_boundaries(self) -> None:
        outer = self.outer
        if outer is not None and not outer.is_closed:
            outer.chunks_unanswered += 1
            if outer.chunks_unanswered > 1:
                self.caller_fault(
                    "BK401", f"{outer.chunks_unanswered} chunks were taken before one was given"
                )
        # What is given here answers what was taken from within.
        self.chunks_unanswered = 0
