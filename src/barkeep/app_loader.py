"""Before step 5 - turn a target such as "site:app" into the application; errors list what was tried."""

from __future__ import annotations

import importlib
import os
import sys

from .app_target import Target, parse_target
from .errors import AppImportError, AppLoadError
from .setting import nearest_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from traceback import TracebackException
    from types import FunctionType, ModuleType, TracebackType
    from typing import Any
    from wsgiref.types import WSGIApplication

    from .settings import Settings

# Names an error lists before it says "and more": what fits a screen line or two.
LISTED_NAMES = 12

# Bit of code.co_flags: the function takes *args (inspect.CO_VARARGS; importing inspect costs 5 ms).
CO_VARARGS = 0x04

OUR_DIRECTORY = os.path.dirname(os.path.abspath(__file__)) + os.sep
IMPORT_MACHINERY = ("<frozen importlib", importlib.__file__)


def prepare_import_path(pythonpath: Iterable[str]) -> None:
    """Let the application be imported from the working directory and, before it, from `pythonpath`.

    Directories are made absolute, so that a later chdir by the application changes nothing.
    """
    wanted = [os.path.abspath(directory) for directory in pythonpath] + [os.getcwd()]
    sys.path[:] = wanted + [entry for entry in sys.path if entry not in wanted]


def load_application(text: str) -> WSGIApplication:
    """Import the module of a target, find the name in it, call it when it is a factory.

    Raises AppLoadError when there is no such module or name or it is not callable, and AppImportError, with
    the user's traceback, when their code raised.
    """
    target = parse_target(text)
    found_name, found = _load(target)
    return _checked_application(target, found_name, found, was_made=target.call is not None)


def load_object(text: str) -> object:
    """The same for any object, such as the operator's hooks; a class is called without arguments."""
    target = parse_target(text)
    name, found = _load(target)
    return _call_factory(target, name, found) if isinstance(found, type) else found


def _load(target: Target) -> tuple[str, object]:
    """What a target names, made when it is a call; and its name for errors."""
    if target.directory:
        sys.path[:] = [target.directory] + [entry for entry in sys.path if entry != target.directory]
    module = _import_module(target)
    found_name, found = _find_name(target, module)
    if target.call is not None:
        found = _call_factory(target, found_name, found)
        found_name = target.text.partition(":")[2]
    return found_name, found


def wrap_in_middleware(application: WSGIApplication, settings: Settings) -> WSGIApplication:
    """The application in the middlewares of the settings; a wrong order is told on standard error.

    Raises SettingError when one cannot be used.
    """
    if not settings.middleware:
        return application
    # Imported when there are any: most servers have none.
    from .middleware.configured import ConfiguredStack

    configured = ConfiguredStack(settings)
    for sentence in configured.warnings:
        sys.stderr.write(f"barkeep: warning: {sentence}\n")
    return configured.wrap(application)


def _import_module(target: Target) -> ModuleType:
    try:
        return importlib.import_module(target.module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        is_ours = target.module == missing or target.module.startswith(missing + ".")
        # The same name may be missing inside their code; then a frame of theirs is in the traceback.
        if is_ours and not _has_user_frames(error.__traceback__):
            raise AppLoadError(_no_module(target, missing)) from None
        raise _failed_in_user_code(target, "importing", error) from error
    except (Exception, SystemExit) as error:
        raise _failed_in_user_code(target, "importing", error) from error


def _no_module(target: Target, missing: str) -> str:
    directory = target.directory or os.getcwd()
    names = sorted(_modules_in(directory))
    places = f"{directory} and {len(sys.path) - 1} more places of sys.path"
    return (
        f'cannot load "{target.text}": there is no module "{missing}"; looked in {places}.'
        f"{nearest_name(missing, names)} Use --chdir or --pythonpath when it is elsewhere."
    )


def _modules_in(directory: str) -> list[str]:
    """Names that could be imported from a directory: its .py files and its packages."""
    try:
        entries = os.listdir(directory)
    except OSError:
        return []
    files = [entry[:-3] for entry in entries if entry.endswith(".py")]
    packages = [entry for entry in entries if os.path.isfile(os.path.join(directory, entry, "__init__.py"))]
    return [name for name in files + packages if name.isidentifier()]


def _find_name(target: Target, module: ModuleType) -> tuple[str, object]:
    """The first of the candidate names that is there, with its value."""
    refusal = ""
    for dotted_name in target.names:
        holder: object = module
        holder_name = f'module "{target.module}"'
        for part in dotted_name.split("."):
            try:
                holder = getattr(holder, part)
            except AttributeError:
                refusal = refusal or _no_name(target, holder, holder_name, part)
                break
            except (Exception, SystemExit) as error:
                raise _failed_in_user_code(target, f"looking up {dotted_name} of", error) from error
            holder_name = f'"{dotted_name[: dotted_name.index(part) + len(part)]}"'
        else:
            return dotted_name, holder
    raise AppLoadError(refusal)


def _no_name(target: Target, holder: object, holder_name: str, part: str) -> str:
    has = _public_callables(holder)
    listed = ", ".join(has[:LISTED_NAMES]) + (" and more" if len(has) > LISTED_NAMES else "")
    tried = " nor ".join(f'"{name}"' for name in target.names) if len(target.names) > 1 else f'"{part}"'
    return (
        f'cannot load "{target.text}": {holder_name} has no name {tried}; '
        f"it has: {listed or 'no public callables'}.{nearest_name(part, has)}"
    )


def _public_callables(holder: object) -> list[str]:
    """Public names in a module or object that could be an application, without what it only imported."""
    module_name = holder.__name__ if isinstance(holder, type(sys)) else ""
    names = []
    for name, value in getattr(holder, "__dict__", {}).items():
        is_imported = hasattr(value, "__qualname__") and getattr(value, "__module__", None) != module_name
        if not name.startswith("_") and callable(value) and not (module_name and is_imported):
            names.append(name)
    return sorted(names)


def _call_factory(target: Target, name: str, factory: object) -> object:
    positional, keywords = target.call or ([], {})
    if not callable(factory):
        raise AppLoadError(
            f'cannot load "{target.text}": "{name}" is {_kind_of(factory)}, '
            "which cannot be called as a factory."
        )
    try:
        return factory(*positional, **keywords)
    except (Exception, SystemExit) as error:
        raise _failed_in_user_code(target, f"calling {name} of", error) from error


def _checked_application(target: Target, name: str, found: Any, was_made: bool) -> WSGIApplication:
    """What was found, once it is sure that it can be called with two positional arguments (PEP 3333)."""
    if not callable(found):
        made = "returned" if was_made else "is"
        raise AppLoadError(
            f'cannot load "{target.text}": "{name}" {made} {_kind_of(found)}, not a WSGI application: '
            "it cannot be called with (environ, start_response)."
        )
    if _is_function(found) and not _takes_two(found):
        hint = "" if was_made else f' If it makes the application, write "{target.module}:{name}()".'
        raise AppLoadError(
            f'cannot load "{target.text}": "{name}" does not take the two arguments of a WSGI application, '
            f"(environ, start_response).{hint}"
        )
    application: WSGIApplication = found
    return application


def _is_function(found: object) -> bool:
    # Only plain functions: what other callables take is for the first request to show.
    return type(found) is type(_is_function)


def _takes_two(found: object) -> bool:
    function: FunctionType = found  # type: ignore[assignment]  # _is_function has looked
    code = function.__code__
    required = code.co_argcount - len(function.__defaults__ or ())
    required_by_name = code.co_kwonlyargcount - len(function.__kwdefaults__ or {})
    takes_more = code.co_argcount >= 2 or bool(code.co_flags & CO_VARARGS)
    return required <= 2 and takes_more and required_by_name == 0


def _kind_of(found: object) -> str:
    return "None" if found is None else f"an object of type {type(found).__name__}"


def _failed_in_user_code(target: Target, what: str, error: BaseException) -> AppImportError:
    message = f'cannot load "{target.text}": {what} {target.module} raised {type(error).__name__}.'
    return AppImportError(message, user_traceback(error))


def user_traceback(error: BaseException) -> str:
    """The traceback as the user would see it had they imported the module themselves."""
    # Imported on the way to an error only: traceback costs 3 ms.
    from traceback import TracebackException

    told = TracebackException.from_exception(error)
    _drop_our_frames(told)
    return "".join(told.format())


def _drop_our_frames(told: TracebackException) -> None:
    from traceback import StackSummary

    told.stack = StackSummary.from_list([frame for frame in told.stack if not _is_machinery(frame.filename)])
    for earlier in (told.__cause__, told.__context__):
        if earlier is not None:
            _drop_our_frames(earlier)


def _has_user_frames(traceback: TracebackType | None) -> bool:
    while traceback is not None:
        if not _is_machinery(traceback.tb_frame.f_code.co_filename):
            return True
        traceback = traceback.tb_next
    return False


def _is_machinery(filename: str) -> bool:
    return filename.startswith(OUR_DIRECTORY) or filename.startswith(IMPORT_MACHINERY)
