"""wsgi.input and wsgi.errors as lint hands them on: each use is checked, then done by the real stream."""

from __future__ import annotations

from .record import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from .watch import Watch


class InputProbe:
    """The request body. bytes_left: of what CONTENT_LENGTH announced; None when it is not known."""

    def __init__(self, stream: Any, watch: Watch, bytes_left: int | None, is_terminated: bool) -> None:
        self._stream = stream
        self._watch = watch
        self._bytes_left = bytes_left
        # The server promises an end (wsgi.input_terminated), so that reading to it is safe.
        self._is_terminated = is_terminated
        self._has_ended = False

    def read(self, *sizes: Any, **keywords: Any) -> Any:
        """Read up to so many bytes."""
        self._check_call("read", sizes, keywords)
        size = sizes[0] if sizes else None
        if not self._is_terminated:
            if size is None or (isinstance(size, int) and size < 0):
                self._watch.fault("BK301", f"wsgi.input.read({'' if not sizes else show(size)})")
            elif self._bytes_left is not None and size > self._bytes_left:
                seen = f"wsgi.input.read({size}) with {self._bytes_left} bytes of the body left"
                self._watch.fault("BK302", seen)
        data = self._call(self._stream.read, sizes, keywords)
        self._check_data("read", data, wanted=0 if size == 0 else None)
        return data

    def readline(self, *sizes: Any, **keywords: Any) -> Any:
        """Read up to the next line end."""
        self._check_call("readline", sizes, keywords)
        data = self._call(self._stream.readline, sizes, keywords)
        self._check_data("readline", data, wanted=None)
        return data

    def readlines(self, *hints: Any, **keywords: Any) -> Any:
        """Read all lines."""
        self._check_call("readlines", hints, keywords)
        lines = self._call(self._stream.readlines, hints, keywords)
        if type(lines) is not list:
            self._watch.caller_fault("BK515", f"wsgi.input.readlines gave {show(lines)}")
        else:
            for line in lines:
                self._check_data("readlines", line, wanted=None)
        return lines

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def close(self) -> None:
        """Told, and not done: the stream is the server's."""
        self._watch.fault("BK303", "wsgi.input.close()")

    def __getattr__(self, name: str) -> Any:
        return _watched_attribute(self._stream, name, "wsgi.input", self._watch)

    def _call(self, method: Callable[..., Any], sizes: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        try:
            return method(*sizes, **keywords)
        except Exception as error:
            if not isinstance(error, TypeError):
                self._watch.caller_raised(error)
            raise

    def _check_call(self, name: str, sizes: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        if len(sizes) > 1 or keywords:
            self._watch.fault("BK308", f"wsgi.input.{name} with {show(sizes)} {show(keywords)}")
        if self._watch.is_closed:
            self._watch.fault("BK307", f"wsgi.input.{name} after close()")
        elif self._has_ended and not self._is_terminated:
            self._watch.fault("BK302", f"wsgi.input.{name} after the end of the body")

    def _check_data(self, name: str, data: Any, wanted: int | None) -> None:
        if type(data) is not bytes:
            self._watch.caller_fault("BK515", f"wsgi.input.{name} gave {show(data)}")
            return
        if self._bytes_left is not None:
            self._bytes_left = max(0, self._bytes_left - len(data))
        # One read that shows the end is how a body without a length is read; a second one asks for more.
        self._has_ended = self._has_ended or (not data and wanted is None)


class ErrorsProbe:
    """The server's log."""

    def __init__(self, stream: Any, watch: Watch) -> None:
        self._stream = stream
        self._watch = watch

    def write(self, text: Any) -> Any:
        """Write text."""
        self._check(text)
        return self._stream.write(text)

    def writelines(self, lines: Iterable[Any]) -> None:
        """Write each text."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the real stream."""
        self._stream.flush()

    def close(self) -> None:
        """Told, and not done: the stream is the server's."""
        self._watch.fault("BK304", "wsgi.errors.close()")

    def __getattr__(self, name: str) -> Any:
        return _watched_attribute(self._stream, name, "wsgi.errors", self._watch)

    def _check(self, text: Any) -> None:
        if type(text) is not str:
            self._watch.fault("BK305", f"wsgi.errors was given {show(text)}, of type {type(text).__name__}")


def _watched_attribute(stream: Any, name: str, label: str, watch: Watch) -> Any:
    """What the real stream has beside the promised methods. Asking for it is no fault; use is."""
    found = getattr(stream, name)
    if not callable(found):
        # Text wrappers ask for these to copy them, and do without.
        if name not in ("closed", "encoding", "errors", "mode", "name", "newlines"):
            watch.fault("BK306", f"{label}.{name} was read")
        return found
    method: Callable[..., Any] = found

    def use(*arguments: Any, **keywords: Any) -> Any:
        # io's own wrappers ask what a stream can do.
        if name not in ("readable", "writable", "seekable", "isatty"):
            watch.fault("BK306", f"{label}.{name}() was called")
        return method(*arguments, **keywords)

    return use
