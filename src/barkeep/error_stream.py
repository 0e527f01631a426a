"""Step 5 of 6 - wsgi.errors: a text stream into the log (PEP 3333, Input and Error Streams)."""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._engine import Engine


# Characters; a line that is never ended is logged in pieces of this size, and takes no more memory.
LONGEST_LINE = 64 * 1024


class ErrorStream:
    """What the applications of one thread write becomes log lines; an unfinished line waits for its end.

    The application may hand it to threads of its own: no text is lost, but lines that several write in pieces
    are mixed. unfinished: a line that was begun, for flush(). A plain attribute: it is looked at after every
    request.
    """

    def __init__(self, engine: Engine) -> None:
        self._log = engine.log
        # Guards `unfinished` while it changes. Whoever holds it may come again: from a finalizer.
        self._lock = threading.RLock()
        self.unfinished = ""

    def write(self, text: str) -> int:
        """Log every line that `text` completes. The result is the number of characters, as files have it."""
        if not isinstance(text, str):
            raise TypeError(f"wsgi.errors takes str, found {type(text).__name__}")
        with self._lock:
            *lines, self.unfinished = (self.unfinished + text).split("\n")
        for line in lines:
            self._log("error", line)
        if len(self.unfinished) > LONGEST_LINE:
            self.flush()
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """As write, for each."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Log the line that was begun."""
        with self._lock:
            line, self.unfinished = self.unfinished, ""
        if line:
            self._log("error", line)
