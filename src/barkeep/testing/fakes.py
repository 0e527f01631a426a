"""Stands-in for one side of PEP 3333, for tests of middleware and servers."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from _typeshed import OptExcInfo


class StartResponse:
    """A server's start_response that keeps what it is given.

    calls: (status, headers, exc_info) of each call. written: what went to write().
    raise_again: behave as if the head were out, and raise exc_info.
    """

    def __init__(self, *, raise_again: bool = False) -> None:
        self.calls: list[tuple[str, list[tuple[str, str]], OptExcInfo | None]] = []
        self.written: list[bytes] = []
        self._raise_again = raise_again

    def __call__(
        self, status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        if exc_info is not None and exc_info[1] is not None and self._raise_again:
            raise exc_info[1].with_traceback(exc_info[2])
        self.calls.append((status, headers, exc_info))
        return self.written.append

    @property
    def status(self) -> str:
        """Of the last call."""
        return self.calls[-1][0]

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Of the last call."""
        return self.calls[-1][1]


class ClosingIterable:
    """A body that counts its close() calls. close_error: what close() raises, if anything.

    chunks: bytes, or an error that is raised in their place. taken: how many were asked for.
    """

    def __init__(self, chunks: Iterable[bytes | Exception], *, close_error: Exception | None = None) -> None:
        self._chunks = list(chunks)
        self._close_error = close_error
        self.taken = 0
        self.close_count = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.taken += 1
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    def close(self) -> None:
        """Count, and raise close_error if there is one."""
        self.close_count += 1
        if self._close_error is not None:
            raise self._close_error
