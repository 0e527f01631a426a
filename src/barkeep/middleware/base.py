"""What every middleware is: a configuration that is checked when it is made, and wraps an application later.

A piece is a subclass with its settings as `Option` rows and one method, `wrap`. Calling a piece with an
application gives a WSGI application: `Compress(minimum_bytes=500)(app)`. The same piece may wrap several
applications; it never changes after it is made, so threads share it. What a wrapper remembers lives in the
closure that `wrap` returns.

What a wrapper promises (PEP 3333, Middleware: Components that Play Both Sides):
- one chunk in, one chunk out at once; write(), exc_info and close(), exactly once, pass through;
- an untouched body is returned as the very object the application returned, so that lists keep their length
  and files of wsgi.file_wrapper still go from disk to socket; response.py has the tools;
- the application's list of headers is copied, never changed: it may be a constant of theirs;
- nothing of the server is needed beyond PEP 3333; keys of Barkeep in the environ are optional.
"""

from __future__ import annotations

from ..errors import SettingError
from ..setting import nearest_name, show_found

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Generic, TypeVar, overload
    from wsgiref.types import WSGIApplication

    from ..setting import Kind

    T = TypeVar("T")
else:
    from ..setting import Generic

    T = "T"


# The default of an option that must be given.
REQUIRED: Any = object()

# Stands for the value of a secret wherever settings are shown.
HIDDEN = "***"


class Option(Generic[T]):
    """One setting of a middleware: a row of its table. On a piece it gives that piece's value.

    The value is in the piece's own `__dict__`, so that reading it for each request costs no call.
    hint: a sentence added to the error about a wrong value. is_secret: never shown.
    """

    __slots__ = ("default", "help", "hint", "is_secret", "kind", "name")

    def __init__(
        self, kind: Kind[T], *, help: str, default: T = REQUIRED, hint: str = "", is_secret: bool = False
    ) -> None:
        self.kind = kind
        self.default = default
        self.help = help
        self.hint = hint
        self.is_secret = is_secret

    def __set_name__(self, _owner: type, name: str) -> None:
        self.name = name

    if TYPE_CHECKING:
        # Nothing of this is there when the program runs: a piece has its values in its own dict.
        @overload
        def __get__(self, piece: None, _owner: type) -> Option[T]: ...
        @overload
        def __get__(self, piece: Middleware, _owner: type) -> T: ...
        def __get__(self, piece: Middleware | None, _owner: type) -> Option[T] | T: ...

    def read(self, class_name: str, found: object) -> T:
        """The typed value of what was given. Raises SettingError, one line."""
        try:
            return self.kind.read(found)
        except ValueError as error:
            shown = HIDDEN if self.is_secret else show_found(found)
            detail = f": {error}" if str(error) else ""
            hint = f" {self.hint}" if self.hint else ""
            raise SettingError(
                f"{class_name}: {self.name} must be {self.kind.allowed}, found {shown}{detail}.{hint}"
            ) from None

    def show(self, value: T) -> str:
        """The value as it could be typed; a secret is hidden."""
        return HIDDEN if self.is_secret else self.kind.show(value)


class Middleware:
    """Base of every piece. Subclasses add Option rows, `wrap`, and perhaps `check`.

    shorthand: name of the option that one positional argument, or the text after ":" on the command line,
    gives; "" for none. given: names of the settings that were given, in the order of the table.
    """

    shorthand: ClassVar[str] = ""
    OPTIONS: ClassVar[dict[str, Option[Any]]] = {}

    given: tuple[str, ...]

    def __init_subclass__(cls) -> None:
        own = {name: row for name, row in vars(cls).items() if isinstance(row, Option)}
        cls.OPTIONS = {**cls.OPTIONS, **own}

    def __init__(self, *shorthand: object, **settings: object) -> None:
        """Check and keep the settings. Raises SettingError for an unknown, missing or unusable one."""
        kind = type(self).__name__
        if shorthand:
            settings = self._with_shorthand(shorthand, settings)
        for name in settings:
            if name not in self.OPTIONS:
                near = nearest_name(name, list(self.OPTIONS))
                has = ", ".join(self.OPTIONS) or "none"
                raise SettingError(f'{kind}: there is no setting "{name}".{near} Settings: {has}.')
        for name, option in self.OPTIONS.items():
            if name in settings:
                vars(self)[name] = option.read(kind, settings[name])
            elif option.default is REQUIRED:
                raise SettingError(
                    f"{kind}: {name} is needed, {option.kind.allowed}, found none. {option.hint}".rstrip()
                )
            else:
                vars(self)[name] = option.default
        self.given = tuple(name for name in self.OPTIONS if name in settings)
        self.check()

    def check(self) -> None:
        """What one option alone cannot tell: combinations. Raises SettingError through `fault`."""

    def wrap(self, application: WSGIApplication, /) -> WSGIApplication:
        """The application with this piece around it."""
        raise NotImplementedError(f"{type(self).__name__} has no wrap method")

    def __call__(self, application: WSGIApplication, /) -> WSGIApplication:
        """As `wrap`. Raises SettingError when it is given no application."""
        if not callable(application):
            raise SettingError(
                f"{type(self).__name__} wraps a WSGI application, found {show_found(application)}. "
                f"Settings come first: {type(self).__name__}(...)(application)."
            )
        return self.wrap(application)

    def fault(self, name: str, sentence: str) -> SettingError:
        """An error about one option, for `raise self.fault("max_age", "must not be ...")` in `check`."""
        return SettingError(f"{type(self).__name__}: {name} {sentence}")

    def describe(self) -> list[tuple[str, str]]:
        """The settings that were given, as (name, value as it would be typed)."""
        return [(name, self.OPTIONS[name].show(vars(self)[name])) for name in self.given]

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in self.describe())
        return f"{type(self).__name__}({settings})"

    def _with_shorthand(self, values: tuple[object, ...], settings: dict[str, object]) -> dict[str, object]:
        kind = type(self).__name__
        if not self.shorthand:
            if callable(values[0]):
                raise SettingError(
                    f"{kind}: settings come first, then the application: {kind}(...)(application)."
                )
            raise SettingError(f"{kind} takes its settings by name only, found {show_found(values[0])}.")
        if len(values) > 1 or self.shorthand in settings:
            raise SettingError(f"{kind} takes one setting without its name, {self.shorthand}, found two.")
        return {self.shorthand: values[0], **settings}
