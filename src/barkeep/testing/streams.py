"""wsgi.input and wsgi.errors in memory, with what PEP 3333 promises and nothing else."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class BodyInput:
    """A request body. Given in pieces, no read() goes over the end of one, as on a slow network.

    bytes_read: so far, for assertions. It ends by itself: reading past the end gives b"".
    """

    def __init__(self, body: bytes | Iterable[bytes] = b"") -> None:
        self._pieces = iter([body] if isinstance(body, bytes) else body)
        self._held = b""
        self.bytes_read = 0

    def read(self, size: int | None = None, /) -> bytes:
        """Up to `size` bytes of the piece that is next; all of the rest without a size."""
        if size is None or size < 0:
            data = self._held + b"".join(self._pieces)
            self._held = b""
        else:
            if size and not self._held:
                self._hold_more()
            data, self._held = self._held[:size], self._held[size:]
        self.bytes_read += len(data)
        return data

    def readline(self, size: int | None = None, /) -> bytes:
        """Up to and with the next line end."""
        limit = -1 if size is None else size
        while (end := self._held.find(b"\n")) < 0 and (limit < 0 or len(self._held) < limit):
            if not self._hold_more():
                break
        stop = len(self._held) if end < 0 else end + 1
        stop = stop if limit < 0 else min(stop, limit)
        data, self._held = self._held[:stop], self._held[stop:]
        self.bytes_read += len(data)
        return data

    def readlines(self, hint: int | None = None, /) -> list[bytes]:
        """Lines until `hint` bytes are reached, all of them without one."""
        lines: list[bytes] = []
        total = 0
        while line := self.readline():
            lines.append(line)
            total += len(line)
            if hint is not None and 0 < hint <= total:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def _hold_more(self) -> bool:
        for piece in self._pieces:
            if piece:
                self._held += piece
                return True
        return False


class ErrorText:
    """Keeps what the application writes to its log, in `text`."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str, /) -> int:
        """Keep it. Raises TypeError for anything but str, as text files do."""
        if not isinstance(text, str):
            raise TypeError(f"wsgi.errors takes str, found {type(text).__name__}")
        self.text += text
        return len(text)

    def writelines(self, lines: Iterable[str], /) -> None:
        """Keep each."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Nothing is held back."""
