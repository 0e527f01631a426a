"""Which line of the user's did it: frames, generators and tracebacks -> a place in a file."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType, TracebackType

# Frames of these are never the culprit: lint itself, and what calls applications in memory.
BARKEEP = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
MACHINERY = (os.path.dirname(os.path.abspath(__file__)) + os.sep, BARKEEP + "testing" + os.sep)

# Frames of these are named only when no frame of the user's is on the way.
STANDARD_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
INSTALLED = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)


class Place:
    """A line in a function; line counts from 1. An empty file: it cannot be told."""

    __slots__ = ("file", "function", "line")

    def __init__(self, file: str, line: int, function: str) -> None:
        self.file = file
        self.line = line
        self.function = function

    def __str__(self) -> str:
        if not self.file:
            return "an unknown place"
        return f"{shorten(self.file)}:{self.line} in {self.function}"

    @property
    def key(self) -> tuple[str, int, str]:
        """What makes two places the same."""
        return (self.file, self.line, self.function)


UNKNOWN = Place("", 0, "")


def shorten(file: str) -> str:
    """The file as seen from the working directory, when it is below it."""
    here = os.getcwd() + os.sep
    return file[len(here) :] if file.startswith(here) else file


def is_library(file: str) -> bool:
    """Whether a file is the standard library's, an installed package's or Barkeep's."""
    return (
        file.startswith((STANDARD_LIBRARY, BARKEEP, "<frozen"))
        or any(part in file for part in INSTALLED)
        or file.startswith(MACHINERY)
    )


def _is_machinery(file: str) -> bool:
    return file.startswith(MACHINERY)


def of_code(code: CodeType) -> Place:
    """Where a function begins."""
    return Place(code.co_filename, code.co_firstlineno, _name_of(code))


def of_frame(frame: FrameType) -> Place:
    """Where a frame is now."""
    return Place(frame.f_code.co_filename, frame.f_lineno or 0, _name_of(frame.f_code))


def of_caller() -> Place:
    """The nearest frame of the user's around this call; a library's when there is none of theirs."""
    nearest = None
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - logging does the same, and there is no other way
    while frame is not None:
        file = frame.f_code.co_filename
        if not is_library(file):
            return of_frame(frame)
        if nearest is None and not _is_machinery(file):
            nearest = of_frame(frame)
        frame = frame.f_back
    return nearest or UNKNOWN


def of_traceback(traceback: TracebackType | None) -> Place:
    """The deepest frame of the user's that an error came through."""
    own = other = None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        place = Place(code.co_filename, traceback.tb_lineno or 0, _name_of(code))
        if not is_library(code.co_filename):
            own = place
        elif not _is_machinery(code.co_filename):
            other = place
        traceback = traceback.tb_next
    return own or other or UNKNOWN


def of_iterator(iterator: object) -> Place | None:
    """Where a generator stands, the innermost of a chain; where another iterator's __next__ begins."""
    place = None
    while True:
        frame = getattr(iterator, "gi_frame", None)
        if frame is None:
            break
        if place is None or not is_library(frame.f_code.co_filename):
            place = of_frame(frame)
        iterator = getattr(iterator, "gi_yieldfrom", None)
    if place is not None:
        return place
    code = getattr(getattr(type(iterator), "__next__", None), "__code__", None)
    return None if code is None else of_code(code)


def of_application(application: object) -> Place:
    """Where an application begins: its function, its __call__, or the class that is called."""
    while True:
        if hasattr(application, "func"):  # functools.partial
            application = application.func
        elif hasattr(application, "__wrapped__"):
            application = application.__wrapped__
        else:
            break
    for holder in (application, vars(type(application)).get("__call__")):
        found = getattr(getattr(holder, "__func__", holder), "__code__", None)
        if found is not None:
            return of_code(found)
    if isinstance(application, type):
        for name in ("__init__", "__new__", "__iter__"):
            found = getattr(getattr(application, name, None), "__code__", None)
            if found is not None:
                return of_code(found)
    return UNKNOWN


def _name_of(code: CodeType) -> str:
    # co_qualname came with Python 3.11.
    name: str = getattr(code, "co_qualname", code.co_name)
    return name
