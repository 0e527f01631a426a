"""Step 5 of 6 - wsgi.errors: a text stream into the log (PEP 3333, Input and Error Streams)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._engine import Engine


class ErrorStream:
    """What the applications of one thread write becomes log lines; an unfinished line waits for its end."""

    def __init__(self, engine: Engine) -> None:
        self._log = engine.log
        self._unfinished = ""

    @property
    def has_unfinished_line(self) -> bool:
        """Whether flush() has something to do."""
        return bool(self._unfinished)

    def write(self, text: str) -> int:
        """Log every line that `text` completes. The result is the number of characters, as files have it."""
        if not isinstance(text, str):
            raise TypeError(f"wsgi.errors takes str, found {type(text).__name__}")
        *lines, self._unfinished = (self._unfinished + text).split("\n")
        for line in lines:
            self._log("error", line)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """As write, for each."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Log the line that was begun."""
        if self._unfinished:
            line, self._unfinished = self._unfinished, ""
            self._log("error", line)
