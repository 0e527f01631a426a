"""Errors with a named culprit: the operator or the application. Each text is one line that says what to do.

What a peer sends is never an exception here: the engine refuses it (rust/wire/src/error.rs).
"""

from __future__ import annotations


class BarkeepError(Exception):
    """Base of every error Barkeep raises on purpose; its text is a sentence for the person who reads it."""


class SettingError(BarkeepError):
    """A setting cannot be used. The text names the setting, its source, the value and what is allowed."""


class ListenError(BarkeepError):
    """An address cannot be listened on. Names the address, the reason and a way out."""


class AppLoadError(BarkeepError):
    """The target names no usable application. Says what was tried and what is there instead."""


class AppImportError(AppLoadError):
    """The user's own code raised while it was loaded.

    traceback_text: their traceback without Barkeep's and importlib's frames, ending in a newline.
    """

    def __init__(self, message: str, traceback_text: str) -> None:
        super().__init__(message)
        self.traceback_text = traceback_text


class WarmUpError(AppImportError):
    """The application did not answer a request of --warm-up as it should."""

    def __init__(self, message: str, traceback_text: str = "") -> None:
        super().__init__(message, traceback_text)


class ApplicationError(BarkeepError):
    """The application broke a rule of PEP 3333; the message names the fault. The client gets 500."""


class RequestBodyError(BarkeepError, OSError):
    """`wsgi.input` cannot be read to its end: cut short, malformed or too slow."""


class RequestTimeout(BaseException):
    """Raised inside the application, wherever it is, when its request has passed --timeout.

    The client has its 504 by then. Let it through; `finally` and `with` clean up. Not an Exception, as
    KeyboardInterrupt is not: it comes from outside, at any line, and `except Exception` around a retry or a
    job would take it for an error of that line and go on. Not raised while C code runs: the thread notices
    when it is back in Python.
    """


class ClientGone(BarkeepError, OSError):
    """The client closed the connection, or its request was timed out, before its answer was complete.

    Nobody is left to answer.
    """
