"""The command line: words typed -> settings -> listeners -> application -> serve, or a command to a server.

Exit codes: 0 done, 1 cannot run (a port in use), 2 unusable settings, 3 the application failed to load.
"""

from __future__ import annotations

import argparse
import os
import sys

from .errors import AppImportError, AppLoadError, ListenError, SettingError
from .setting import FROM_COMMAND_LINE, FROM_DEFAULT, nearest_name
from .settings import TABLE, Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn
    from wsgiref.types import WSGIApplication

    from .hooks import Hooks
    from .listeners import Listener

EXIT_DONE = 0
EXIT_CANNOT_RUN = 1
EXIT_SETTINGS = 2
EXIT_APPLICATION = 3
# What a shell expects after Ctrl-C: 128 and the number of SIGINT.
EXIT_INTERRUPTED = 130

# Columns of --help when standard output is no terminal, and the widest that still reads well.
DEFAULT_HELP_WIDTH = 80
MAX_HELP_WIDTH = 110

USAGE = """\
barkeep [OPTIONS] TARGET
       barkeep check TARGET [OPTIONS]
       barkeep lint TARGET [LINT OPTIONS]
       barkeep COMMAND [ARGUMENT] [--name NAME | --control-socket PATH]"""
DESCRIPTION = """\
Serve a WSGI application. TARGET is module:name, module:name.attribute,
module:factory('text', n=1), path/to/file.py:name, or a module that has
"application" or "app". "barkeep check" loads everything, prints each setting
with its value and where it came from, and serves nothing. "barkeep lint"
calls the application without serving it, and tells which rules of WSGI it
breaks: see barkeep lint --help.

Commands that talk to a running server:
  status                tell its workers and how they do       (--json)
  requests              list the requests that are under way   (--json)
  stacks [SLOT]         print the Python stacks of workers     (--json)
  reload                load the application and settings anew, and wait for it
  upgrade               replace the server by the installed version of barkeep
  scale WORKERS         run so many workers
  recycle SLOT          replace one worker
  reopen-logs           open the access log's file anew
  stop                  finish what was begun, then end
  kill-request ID       time one request out, by its ID from requests
A module with the name of a command is served as NAME:app."""
EPILOG = """\
Every option is also BARKEEP_NAME in the environment and a key of barkeep.toml or of
[tool.barkeep] in pyproject.toml; the command line wins, then the environment."""


class Words:
    """What was typed: the target, whether only to check, and setting name -> text or texts.

    command: one of commands.py, which has arguments and no target; "" to serve or to check.
    """

    __slots__ = ("arguments", "as_json", "command", "is_check", "target", "typed")

    def __init__(
        self,
        is_check: bool,
        target: str,
        typed: dict[str, object],
        command: str = "",
        arguments: dict[str, object] | None = None,
        as_json: bool = False,
    ) -> None:
        self.is_check = is_check
        self.target = target
        self.typed = typed
        self.command = command
        self.arguments = arguments or {}
        self.as_json = as_json


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingError(f"{message}. See barkeep --help.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the result is the exit code. Errors are one line on standard error."""
    try:
        return _run(sys.argv[1:] if argv is None else list(argv))
    except SettingError as error:
        _complain(str(error))
        return EXIT_SETTINGS
    except ListenError as error:
        _complain(str(error))
        return EXIT_CANNOT_RUN
    except AppLoadError as error:
        if isinstance(error, AppImportError):
            sys.stderr.write(error.traceback_text)
        _complain(str(error))
        return EXIT_APPLICATION
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def read_words(argv: Sequence[str]) -> Words:
    """Sort what was typed; values stay text. Raises SettingError, one line.

    --help and --version print and raise SystemExit, as argparse does.
    """
    parser = _make_parser()
    found, unknown = parser.parse_known_intermixed_args(argv)
    if unknown:
        option = unknown[0].partition("=")[0]
        flags = [setting.flag for setting in TABLE.values()]
        raise SettingError(
            f'there is no option "{option}" (command line).{nearest_name(option, flags)} See barkeep --help.'
        )
    words: list[str] = found.words
    typed = {name: value for name, value in vars(found).items() if name in TABLE}
    # A target that has one of these in it is never a command: no reason to import them.
    if words and not any(mark in words[0] for mark in ":./"):
        from .commands import COMMANDS

        if words[0] in COMMANDS:
            return _words_of_command(words[0], words[1:], typed, found.json)
    if found.json:
        raise SettingError("--json is for status, requests and stacks (command line). See barkeep --help.")
    is_check = words[:1] == ["check"]
    targets = words[1:] if is_check else words
    if len(targets) != 1:
        found_text = f"found {len(targets)}: {', '.join(targets)}" if targets else "found none"
        raise SettingError(
            f"one TARGET is needed, such as module:app, {found_text} (command line). See barkeep --help."
        )
    return Words(is_check, targets[0], typed)


def _words_of_command(command: str, words: Sequence[str], typed: dict[str, object], as_json: bool) -> Words:
    from .commands import SETTINGS_OF_COMMANDS, read_arguments

    for name in typed:
        if name not in SETTINGS_OF_COMMANDS:
            raise SettingError(
                f"{TABLE[name].flag} means nothing to barkeep {command} (command line). See barkeep --help."
            )
    return Words(False, "", typed, command, read_arguments(command, words), as_json)


def _run(argv: Sequence[str]) -> int:
    from .app_loader import load_application, prepare_import_path
    from .config_sources import load_settings

    if argv[:1] == ["lint"]:
        from .lint.command import main as lint

        return lint(argv[1:])
    words = read_words(argv)
    if words.command:
        return _command(words)
    directory = _working_directory()
    settings = load_settings(words.typed, os.environ, directory)
    _change_directory(settings)
    if words.is_check:
        prepare_import_path(settings.pythonpath)
        _print_settings(settings)
        application = load_application(words.target)
        _print_stack(settings, application)
        print(f"application {words.target} loads: {application!r}")
        return EXIT_DONE

    return _supervise(words, settings, directory)


def _supervise(words: Words, settings: Settings, directory: str) -> int:
    from .config_sources import load_settings
    from .listeners import open_listeners
    from .privileges import resolve
    from .supervisor import Supervisor
    from .systemd_notify import Notifier
    from .upgrade import Inheritance, close_unused

    def load_again() -> Settings:
        return load_settings(words.typed, os.environ, directory)

    started_with = dict(os.environ)
    inheritance = Inheritance.take(os.environ)
    notifier = Notifier.from_environ(os.environ)
    resolve(settings.user, settings.group)
    if settings.reload:
        from .reload_watch import check_library

        check_library()
    hooks = _load_hooks(settings)
    # Before the application: a port in use is told at once, not after its import.
    inherited = inheritance.listeners if inheritance else []
    listeners = open_listeners(settings, os.environ, inherited)
    control = None
    try:
        close_unused(inherited, listeners)
        control = inheritance.control if inheritance else _open_control(settings)
        supervisor = Supervisor(
            words.target,
            settings,
            listeners,
            load_again,
            directory,
            started_with,
            control,
            inheritance,
            hooks,
            notifier,
        )
        return supervisor.run()
    finally:
        for listener in [*listeners, *([control] if control else [])]:
            listener.close()


def _load_hooks(settings: Settings) -> Hooks | None:
    if not settings.hooks:
        return None
    from .app_loader import prepare_import_path
    from .hooks import load_hooks
    from .process_log import ProcessLog

    before = list(sys.path)
    prepare_import_path(settings.pythonpath)
    try:
        return load_hooks(settings.hooks, ProcessLog(settings.log_level).write)
    finally:
        # A worker imports from where the release is when it starts, which may be elsewhere by then.
        sys.path[:] = before


def _open_control(settings: Settings) -> Listener | None:
    """The control socket; a server without a name or path of its own goes without when another has it."""
    from .control_path import open_control_socket

    try:
        return open_control_socket(settings.control_socket, settings.name, os.environ, os.geteuid())
    except ListenError as error:
        if settings.control_socket or settings.origins["name"] != FROM_DEFAULT:
            raise
        from .process_log import ProcessLog

        ProcessLog(settings.log_level).info(str(error))
        return None


def _command(words: Words) -> int:
    """Talk to a running supervisor. The path of its socket says it all: no file is read when it was typed."""
    from .commands import ControlError, run_command
    from .config_sources import load_settings

    is_complete = "control_socket" in words.typed and "config" not in words.typed
    if is_complete:
        settings = Settings({name: (value, FROM_COMMAND_LINE) for name, value in words.typed.items()})
    else:
        settings = load_settings(words.typed, os.environ, os.getcwd())
    _change_directory(settings)
    try:
        return run_command(words.command, words.arguments, settings, os.environ, words.as_json)
    except ControlError as error:
        _complain(str(error))
        return EXIT_CANNOT_RUN


def _make_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="barkeep",
        usage=USAGE,
        description=DESCRIPTION,
        epilog=EPILOG,
        allow_abbrev=False,
        add_help=False,
        formatter_class=_make_help_formatter,
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    groups: dict[str, argparse._ArgumentGroup] = {}
    for setting in TABLE.values():
        if setting.group not in groups:
            groups[setting.group] = parser.add_argument_group(setting.group)
        default = setting.kind.show(setting.default)
        told_default = f" (default {default})" if default else ""
        takes: dict[str, Any] = {"action": "append" if setting.kind.is_list else "store"}
        if not setting.kind.metavar:
            takes = {"action": "store_const", "const": "on"}
        else:
            takes["metavar"] = setting.kind.metavar
        groups[setting.group].add_argument(
            *([setting.short] if setting.short else []),
            setting.flag,
            dest=setting.name,
            default=argparse.SUPPRESS,
            # argparse formats help with %; ours has none to fill in.
            help=(setting.help + told_default).replace("%", "%%"),
            **takes,
        )
    others = parser.add_argument_group("Other")
    others.add_argument("--json", action="store_true", help="print the answer of a command as JSON")
    others.add_argument("-h", "--help", action="help", help="show this and exit")
    others.add_argument("--version", action=_PrintVersion, nargs=0, help="show the version and exit")
    return parser


def _make_help_formatter(*, prog: str) -> argparse.HelpFormatter:
    # Without a width argparse imports shutil, and with it three compression libraries: 2 ms of every start.
    try:
        width = os.get_terminal_size().columns
    except OSError:
        width = DEFAULT_HELP_WIDTH
    return _HelpFormatter(prog, width=min(width, MAX_HELP_WIDTH) - 2)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Knows no colours until help is shown: argparse of Python 3.14 makes a formatter for every start, and
    colours import dataclasses and inspect, 18 ms."""

    _with_color = True

    def _set_color(self, color: bool) -> None:
        self._with_color = color

    def __getattr__(self, name: str) -> Any:
        if name not in ("_theme", "_decolor") or name in self.__dict__:
            raise AttributeError(name)
        super()._set_color(self._with_color)  # type: ignore[misc]
        return self.__dict__[name]


class _PrintVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        # Imported when asked: reading package metadata costs more than the rest of the start.
        from importlib.metadata import version

        python = ".".join(str(part) for part in sys.version_info[:3])
        print(f"barkeep {version('barkeep')} ({sys.implementation.name} {python})")
        parser.exit(EXIT_DONE)


def _working_directory() -> str:
    """Where we were started, by the name that the shell knows it by.

    Behind a symlink a reload then finds what the link names by that time: so releases are switched.
    """
    named, real = os.environ.get("PWD", ""), os.getcwd()
    try:
        return named if os.path.isabs(named) and os.path.samefile(named, real) else real
    except OSError:
        return real


def _change_directory(settings: Settings) -> None:
    if not settings.chdir:
        return
    try:
        os.chdir(settings.chdir)
    except OSError as error:
        raise SettingError(
            f'--chdir must be a directory, found "{settings.chdir}" ({settings.origins["chdir"]}): '
            f"{error.strerror}."
        ) from None


def _print_settings(settings: Settings) -> None:
    rows = settings.describe()
    name_width = max(len(name) for name, _value, _origin in rows)
    value_width = max(len(value) for _name, value, _origin in rows)
    for name, value, origin in rows:
        print(f"{name:<{name_width}}  {value:<{value_width}}  {origin}")


def _print_stack(settings: Settings, application: WSGIApplication) -> None:
    """The middlewares with their settings, as they will stand; all of them are made and put together."""
    if not settings.middleware:
        return
    from .middleware.configured import ConfiguredStack

    configured = ConfiguredStack(settings)
    configured.wrap(application)
    print("middleware, outermost first:")
    for text in configured.describe():
        print(f"  {text}")
    for sentence in configured.warnings:
        print(f"warning: {sentence}")


def _complain(message: str) -> None:
    sys.stderr.write(f"barkeep: {message}\n")
