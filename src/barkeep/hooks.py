"""Methods of an operator's object (--hooks), called when something happens; none can hurt serving.

    class Hooks:
        def worker_ready(self, event):
            statsd.increment("ready", tags=[f"slot:{event.slot}"])

Each method takes one event. Those of the supervisor run in its only thread, and must be short.
"""

from __future__ import annotations

from .errors import SettingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    # Called with a level (error, warning, info, debug) and a text.
    Log = Callable[[str, str], None]

# Names that are as alike as this are taken for a slip of the keyboard (difflib's ratio).
ALIKE = 0.75


class Event:
    """What a hook is told, as attributes. It never changes, and later versions only add to it."""

    def __init__(self, **values: object) -> None:
        self.__dict__.update(values)

    def __setattr__(self, name: str, _value: object) -> NoReturn:
        raise AttributeError(f"events do not change: {name}")

    def __repr__(self) -> str:
        return f"Event({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


class Hooks:
    """Calls the methods that the operator's object has, and skips the others."""

    def __init__(self, target: object | None, log: Log) -> None:
        """target: the operator's object, or None. log: where a hook that raises is told; may be replaced."""
        self._target = target
        self.log = log

    def starting(self, *, name: str, pid: int, listeners: list[str]) -> None:
        """In the supervisor: the listeners are open, and nothing has been loaded."""
        self._call("starting", Event(name=name, pid=pid, listeners=tuple(listeners)))

    def generation_loaded(self, *, generation: int, pid: int) -> None:
        """In the process that has imported the application: the zygote with --preload, else each worker."""
        self._call("generation_loaded", Event(generation=generation, pid=pid))

    def worker_started(self, *, slot: int, generation: int, pid: int) -> None:
        """In the new worker, before it imports the application; with --preload, right after the fork."""
        self._call("worker_started", Event(slot=slot, generation=generation, pid=pid))

    def worker_ready(self, *, slot: int, generation: int, pid: int) -> None:
        """In the worker: it is warm, and is about to take requests."""
        self._call("worker_ready", Event(slot=slot, generation=generation, pid=pid))

    def worker_exiting(self, *, slot: int, generation: int, pid: int, reason: str) -> None:
        """In the worker, after its last request. Not called when it is killed or crashes."""
        self._call("worker_exiting", Event(slot=slot, generation=generation, pid=pid, reason=reason))

    def request_timed_out(
        self, *, slot: int, request: str, age_s: float, thread_ident: int, stack: str
    ) -> None:
        """In the worker, beside the thread that is late. request: as in the log. stack: of that thread."""
        self._call(
            "request_timed_out",
            Event(slot=slot, request=request, age_s=age_s, thread_ident=thread_ident, stack=stack),
        )

    def reloaded(self, *, generation: int, is_good: bool, reason: str) -> None:
        """In the supervisor, after a reload. is_good: the generation serves; else `reason` says why not."""
        self._call("reloaded", Event(generation=generation, is_good=is_good, reason=reason))

    def stopping(self, *, reason: str) -> None:
        """In the supervisor, before the workers are told. reason: a signal's name, or "command"."""
        self._call("stopping", Event(reason=reason))

    def _call(self, name: str, event: Event) -> None:
        method = getattr(self._target, name, None)
        if method is None:
            return
        try:
            method(event)
        except (Exception, SystemExit):
            # Imported for the operator's mistakes only: it costs 3 ms and its memory.
            from traceback import format_exc

            self.log("error", f"the hook {name} raised; serving goes on\n{format_exc().rstrip()}")


NAMES = tuple(name for name in vars(Hooks) if not name.startswith("_"))


def load_hooks(text: str, log: Log) -> Hooks:
    """The hooks that --hooks names, as "module:object"; "" is none. A class is called without arguments.

    Raises SettingError for another form, and AppLoadError when it cannot be imported.
    """
    if not text:
        return Hooks(None, log)
    if ":" not in text:
        raise SettingError(f'--hooks must be module:object, found "{text}".')

    from .app_loader import load_object

    target = load_object(text)
    warn_of_misspelled(target, log)
    return Hooks(target, log)


def warn_of_misspelled(target: object, log: Log) -> None:
    """Tell of public methods that are no hook and are named nearly like one: they would never be called."""
    import difflib

    for name in dir(target):
        if name.startswith("_") or name in NAMES:
            continue
        close = difflib.get_close_matches(name, NAMES, n=1, cutoff=ALIKE)
        if close and callable(getattr(target, name, None)):
            log("warning", f'--hooks has a method "{name}", which is no hook. Did you mean "{close[0]}"?')
