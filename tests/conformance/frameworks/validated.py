"""wsgiref.validate around an application, with the one thing mended that it asks and frameworks do not do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import InputStream, StartResponse, WSGIApplication, WSGIEnvironment


class SizedReads:
    """wsgi.input whose read() without a size asks for -1 bytes, which is the same by another name.

    The validator fails a read() that has no argument, as PEP 333 had it. PEP 3333 says in its first note
    on the input stream that a server should allow it, and Flask, WebOb and Bottle rely on that where
    wsgi.input_terminated is true.
    """

    def __init__(self, checked: InputStream) -> None:
        self._checked = checked

    def read(self, size: int = -1) -> bytes:
        """As PEP 3333."""
        return self._checked.read(size)

    def readline(self, *size: int) -> bytes:
        """As PEP 3333."""
        return self._checked.readline(*size)

    def readlines(self, *hint: int) -> list[bytes]:
        """As PEP 3333."""
        return self._checked.readlines(*hint)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._checked)


def validated(application: WSGIApplication) -> WSGIApplication:
    """The application with every call in both directions checked, but for the size of a read()."""

    def reading(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[Any]:
        environ["wsgi.input"] = SizedReads(environ["wsgi.input"])
        return application(environ, start_response)

    return validator(reading)
