"""The command line: words typed -> settings -> listeners -> application -> serve; nothing else.

Exit codes: 0 done, 1 cannot run (a port in use), 2 unusable settings, 3 the application failed to load.
"""

from __future__ import annotations

import argparse
import os
import sys

from .errors import AppImportError, AppLoadError, ListenError, SettingError
from .setting import nearest_name
from .settings import TABLE, Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

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
       barkeep lint TARGET [LINT OPTIONS]"""
DESCRIPTION = """\
Serve a WSGI application. TARGET is module:name, module:name.attribute,
module:factory('text', n=1), path/to/file.py:name, or a module that has
"application" or "app". "barkeep check" loads everything, prints each setting
with its value and where it came from, and serves nothing. "barkeep lint"
calls the application without serving it, and tells which rules of WSGI it
breaks: see barkeep lint --help."""
EPILOG = """\
Every option is also BARKEEP_NAME in the environment and a key of barkeep.toml or of
[tool.barkeep] in pyproject.toml; the command line wins, then the environment."""


class Words:
    """What was typed: the target, whether only to check, and setting name -> text or texts."""

    __slots__ = ("is_check", "target", "typed")

    def __init__(self, is_check: bool, target: str, typed: dict[str, object]) -> None:
        self.is_check = is_check
        self.target = target
        self.typed = typed


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
    is_check = words[:1] == ["check"]
    targets = words[1:] if is_check else words
    if len(targets) != 1:
        found_text = f"found {len(targets)}: {', '.join(targets)}" if targets else "found none"
        raise SettingError(
            f"one TARGET is needed, such as module:app, {found_text} (command line). See barkeep --help."
        )
    typed = {name: value for name, value in vars(found).items() if name in TABLE}
    return Words(is_check, targets[0], typed)


def _run(argv: Sequence[str]) -> int:
    from .app_loader import load_application, prepare_import_path
    from .config_sources import load_settings

    if argv[:1] == ["lint"]:
        from .lint.command import main as lint

        return lint(argv[1:])
    words = read_words(argv)
    settings = load_settings(words.typed, os.environ, os.getcwd())
    _change_directory(settings)
    prepare_import_path(settings.pythonpath)
    if words.is_check:
        _print_settings(settings)
        application = load_application(words.target)
        print(f"application {words.target} loads: {application!r}")
        return EXIT_DONE

    from .listeners import open_listeners

    # Before the application: a port in use is told at once, not after its import.
    listeners = open_listeners(settings, os.environ)
    try:
        application = load_application(words.target)

        from .server import run

        return run(settings, application, listeners)
    finally:
        for listener in listeners:
            listener.close()


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
    others.add_argument("-h", "--help", action="help", help="show this and exit")
    others.add_argument("--version", action=_PrintVersion, nargs=0, help="show the version and exit")
    return parser


def _make_help_formatter(*, prog: str) -> argparse.HelpFormatter:
    # Without a width argparse imports shutil, and with it three compression libraries: 2 ms of every start.
    try:
        width = os.get_terminal_size().columns
    except OSError:
        width = DEFAULT_HELP_WIDTH
    return argparse.RawDescriptionHelpFormatter(prog, width=min(width, MAX_HELP_WIDTH) - 2)


class _PrintVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        # Imported when asked: reading package metadata costs more than the rest of the start.
        from importlib.metadata import version

        python = ".".join(str(part) for part in sys.version_info[:3])
        print(f"barkeep {version('barkeep')} ({sys.implementation.name} {python})")
        parser.exit(EXIT_DONE)


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


def _complain(message: str) -> None:
    sys.stderr.write(f"barkeep: {message}\n")
