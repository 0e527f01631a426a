"""An answer as a test looks at it: status, fields and body, whole or chunk by chunk."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .gateway import MemoryExchange
    from .streams import ErrorText

# Bytes of the body that a failing assertion shows.
SHOWN_BYTES = 200


class Response:
    """The answer to one request.

    Made complete by Client.get and the others; from Client.stream its body is taken as it is asked for, and
    leaving the `with` closes it. request: method and target. errors: what was written to wsgi.errors.
    """

    def __init__(
        self, exchange: MemoryExchange, request: str, errors: ErrorText, after_close: Callable[[], None]
    ) -> None:
        self._exchange = exchange
        self._after_close = after_close
        self._is_closed = False
        self._taken: list[bytes] = []
        self.request = request
        self.errors = errors

    @property
    def status(self) -> int:
        """The status code."""
        return int(self._exchange.status[:3])

    @property
    def reason(self) -> str:
        """What stands after the code."""
        return self._exchange.status[4:]

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All fields, in order."""
        return self._exchange.headers

    def header(self, name: str) -> str | None:
        """The value of a field, repeated ones joined; None when it is not there."""
        values = self.header_values(name)
        return ", ".join(values) if values else None

    def header_values(self, name: str) -> list[str]:
        """Each value of a field."""
        return [value for found, value in self.headers if found.lower() == name.lower()]

    def chunks(self) -> Iterator[bytes]:
        """Each chunk as the application gives it; what was taken before comes first."""
        yield from self._taken
        for chunk in self._exchange:
            self._taken.append(chunk)
            yield chunk

    def next_chunk(self) -> bytes:
        """The next chunk that was not taken yet; b"" at the end."""
        for chunk in self._exchange:
            self._taken.append(chunk)
            return chunk
        return b""

    @property
    def body(self) -> bytes:
        """All of it; takes what is left."""
        for chunk in self._exchange:
            self._taken.append(chunk)
        return b"".join(self._taken)

    @property
    def text(self) -> str:
        """The body in the charset of Content-Type, else UTF-8."""
        return self.body.decode(self._charset())

    def json(self) -> Any:
        """The body as JSON."""
        import json

        return json.loads(self.body)

    def drop_body(self) -> None:
        """Forget what was taken: the answer to HEAD has no body."""
        self._taken.clear()

    def close(self) -> None:
        """Close the application's iterable; once is enough."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._exchange.close()
        finally:
            self._after_close()

    def __enter__(self) -> Response:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.close()
        except AssertionError:
            # What went wrong first says more than what lint found on the way.
            if kind is None:
                raise

    def __repr__(self) -> str:
        # What pytest shows when an assertion about it fails.
        fields = "".join(f"\n  {name}: {value}" for name, value in self.headers)
        body = b"".join(self._taken)
        cut = f" ... ({len(body)} bytes)" if len(body) > SHOWN_BYTES else ""
        return f"<{self.request} -> {self._exchange.status}{fields}\n  {body[:SHOWN_BYTES]!r}{cut}>"

    def _charset(self) -> str:
        from email.message import Message

        message = Message()
        message["Content-Type"] = self.header("Content-Type") or "text/plain"
        charset = message.get_param("charset")
        return charset if isinstance(charset, str) else "utf-8"
