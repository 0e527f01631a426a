"""One setting: a row of the table in settings.py, and the kind of value it takes.

A row is a typed descriptor, so that its name, type, default and help are written once and mypy sees the type.
"""

from __future__ import annotations

from .errors import SettingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Generic, TypeVar

    from .settings import Settings

    T = TypeVar("T")
else:
    # Importing typing costs 2 ms of the 60 ms a start may take.
    T = "T"

    class Generic:
        """Stands in for typing.Generic when the program runs."""

        def __class_getitem__(cls, _item: str) -> type:
            return cls


# Where a value came from, when no file or variable can be named.
FROM_DEFAULT = "default"
FROM_COMMAND_LINE = "command line"
FROM_KEYWORD = "keyword argument"

# Longest piece of a wrong value that an error repeats, in characters: one line stays one line.
SHOWN_VALUE_CHARS = 80


class Kind(Generic[T]):
    """What values a setting takes, how they are read and how they are written back.

    read: text (flag, variable) or a TOML or Python value -> the typed value; ValueError when it cannot.
    show: the inverse, as text that `read` accepts.
    allowed: ends the sentence "--name must be ...".
    metavar: the word for the value in --help.
    """

    __slots__ = ("allowed", "is_list", "metavar", "read", "show")

    def __init__(
        self,
        allowed: str,
        metavar: str,
        read: Callable[[object], T],
        show: Callable[[T], str],
        is_list: bool = False,
    ) -> None:
        self.allowed = allowed
        self.metavar = metavar
        self.read = read
        self.show = show
        self.is_list = is_list


class Setting(Generic[T]):
    """One row of the table. On a Settings object it gives that object's value, on the class its default.

    short: the one-letter flag, or "". hint: a sentence added to the error about a wrong value.
    goes_to_engine: the engine takes it as a keyword argument of the same name.
    is_typed_only: it says where settings are read from, so a TOML file cannot give it.
    """

    __slots__ = (
        "default",
        "goes_to_engine",
        "group",
        "help",
        "hint",
        "is_typed_only",
        "kind",
        "name",
        "short",
    )

    def __init__(
        self,
        kind: Kind[T],
        *,
        default: T,
        group: str,
        help: str,
        short: str = "",
        hint: str = "",
        goes_to_engine: bool = False,
        is_typed_only: bool = False,
    ) -> None:
        self.kind = kind
        self.default = default
        self.group = group
        self.help = help
        self.short = short
        self.hint = hint
        self.goes_to_engine = goes_to_engine
        self.is_typed_only = is_typed_only

    def __set_name__(self, _owner: type, name: str) -> None:
        self.name = name

    def __get__(self, settings: Settings | None, _owner: type) -> T:
        if settings is None:
            return self.default
        value: T = settings.values[self.name]
        return value

    def __set__(self, _settings: Settings, _value: object) -> None:
        raise AttributeError(f"settings do not change once loaded: {self.name}")

    @property
    def flag(self) -> str:
        """The long flag of the command line, as --keep-alive-timeout."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The name in the environment, as BARKEEP_KEEP_ALIVE_TIMEOUT."""
        return "BARKEEP_" + self.name.upper()

    def parse(self, found: object, origin: str) -> T:
        """The typed value of what was found at `origin`. Raises SettingError, one line."""
        try:
            return self.kind.read(found)
        except ValueError as error:
            label = self.name if origin == FROM_KEYWORD else self.flag
            detail = f": {error}" if str(error) else ""
            hint = f" {self.hint}" if self.hint else ""
            raise SettingError(
                f"{label} must be {self.kind.allowed}, found {show_found(found)} ({origin}){detail}.{hint}"
            ) from None


def show_found(found: object) -> str:
    """A wrong value as an error repeats it: text in double quotes, escaped and cut to one line."""
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, list) and len(found) == 1:
        return show_found(found[0])
    shown = ascii(found)
    if isinstance(found, str):
        shown = '"' + shown[1:-1].replace('"', '\\"') + '"'
    return shown if len(shown) <= SHOWN_VALUE_CHARS else shown[:SHOWN_VALUE_CHARS] + "..."


def nearest_name(name: str, names: list[str]) -> str:
    """A sentence with the name most like `name`, led by a space; "" when none is alike."""
    # Imported on the way to an error only: difflib costs 3 ms.
    import difflib

    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f' Did you mean "{close[0]}"?' if close else ""
