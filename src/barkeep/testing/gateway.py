"""A server in memory: calls an application as PEP 3333 says, and gives its answer chunk by chunk."""

from __future__ import annotations

from collections import deque

from ..errors import ApplicationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import WSGIApplication, WSGIEnvironment

    from _typeshed import OptExcInfo


class MemoryExchange:
    """One call of an application. Whoever makes it calls close(); that of the iterable is called once.

    The application runs when this is made, and its iterable only as chunks are asked for. Raises what the
    application raises, and ApplicationError when it cannot be answered for.
    """

    def __init__(self, application: WSGIApplication, environ: WSGIEnvironment) -> None:
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        self.head_is_sent = False
        self._written: deque[bytes] = deque()
        self._iterator: Iterator[bytes] | None = None
        self._iterable: Iterable[bytes] = application(environ, self._start_response)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """The next chunk with bytes in it, written or given; StopIteration at the end."""
        while True:
            if self._written:
                return self._written.popleft()
            if self._iterator is None:
                self._iterator = iter(self._iterable)
            try:
                chunk = next(self._iterator)
            except StopIteration:
                if self._written:
                    continue
                self._check_head()
                raise
            self._check_head()
            if not isinstance(chunk, bytes):
                raise ApplicationError(f"a chunk must be bytes, found {type(chunk).__name__}")
            if chunk:
                self.head_is_sent = True
                # What was written before stands before it.
                self._written.append(chunk)

    def advance_to_head(self) -> None:
        """Run the application until its status is known, which is at its first chunk at the latest."""
        if not self.status:
            for chunk in self:
                self._written.appendleft(chunk)
                return

    def close(self) -> None:
        """End the exchange; the iterable's close() is called the first time."""
        iterable, self._iterable = self._iterable, ()
        self._iterator = iter(())
        close: Callable[[], object] | None = getattr(iterable, "close", None)
        if close is not None:
            close()

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        if exc_info is not None:
            try:
                if self.head_is_sent and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # a circle of frames and traceback would keep all of it alive
        elif self.status:
            raise ApplicationError("start_response was called a second time without exc_info")
        self.status, self.headers = status, headers
        return self._write

    def _write(self, data: bytes) -> None:
        if not isinstance(data, bytes):
            raise ApplicationError(f"write() takes bytes, found {type(data).__name__}")
        if data:
            self.head_is_sent = True
            self._written.append(data)

    def _check_head(self) -> None:
        if not self.status:
            raise ApplicationError("the application gave its answer without calling start_response")
