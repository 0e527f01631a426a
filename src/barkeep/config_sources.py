"""Where settings come from: command line, environment, TOML, default. The first that names a setting wins.

This stage only collects what was written and who wrote it; settings.py gives it meaning.
"""

from __future__ import annotations

import os
import sys

from .errors import SettingError
from .setting import FROM_COMMAND_LINE, nearest_name
from .settings import FROM_PORT_VARIABLE, TABLE, Given, Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE_PREFIX = "BARKEEP_"


def load_settings(typed: Mapping[str, object], environ: Mapping[str, str], directory: str) -> Settings:
    """Settings from all sources.

    typed: setting name -> text or list of texts, as the command line gave them.
    directory: where barkeep.toml and pyproject.toml are looked for (--chdir may be set in them).
    Raises SettingError, one line, for an unknown name, an unreadable file or a value that cannot be used.
    """
    given: Given = {name: (value, FROM_COMMAND_LINE) for name, value in typed.items()}
    from_environment = read_environment(environ)
    config = given.get("config") or from_environment.get("config")
    if config is None:
        from_toml = _read_usual_files(directory)
    else:
        file = TABLE["config"].parse(*config)
        from_toml = read_toml(os.path.join(directory, file), file, table=())
    merged = {**from_toml, **from_environment, **given}
    if "bind" not in merged and "PORT" in environ:
        merged["bind"] = (_address_of_port_variable(environ["PORT"]), FROM_PORT_VARIABLE)
    return Settings(merged)


def read_environment(environ: Mapping[str, str]) -> Given:
    """The BARKEEP_* variables. Raises SettingError for one that names no setting."""
    names = {setting.variable: name for name, setting in TABLE.items()}
    given: Given = {}
    for variable, text in environ.items():
        if not variable.startswith(VARIABLE_PREFIX):
            continue
        if variable not in names:
            raise SettingError(
                f'there is no setting "{variable}" (environment).{nearest_name(variable, list(names))}'
            )
        given[names[variable]] = (text, f"environment {variable}")
    return given


def read_toml(file: str, label: str, table: tuple[str, ...]) -> Given:
    """The settings in one table of a TOML file; an empty `table` is the whole file.

    label: how errors and origins name the file.
    Raises SettingError when the file cannot be read or parsed, or when a key names no setting.
    """
    try:
        with open(file, "rb") as stream:
            content = stream.read()
    except OSError as error:
        raise SettingError(f"cannot read settings from {label}: {error.strerror}.") from None
    if not all(key.encode() in content for key in table):
        # Most pyproject.toml files do not mention us: no reason to pay for importing the parser.
        return {}
    keys = _parse_toml(content, label)
    for key in table:
        inner = keys.get(key, {})
        if not isinstance(inner, dict):
            raise SettingError(f"{label}: {'.'.join(table)} must be a table.")
        keys = inner
    origin = f"{label} [{'.'.join(table)}]" if table else label
    names = [name for name, setting in TABLE.items() if not setting.is_typed_only]
    for key in keys:
        if key not in names:
            raise SettingError(f'there is no setting "{key}" ({origin}).{nearest_name(key, names)}')
    return {key: (value, origin) for key, value in keys.items()}


def _read_usual_files(directory: str) -> Given:
    file = os.path.join(directory, "barkeep.toml")
    if os.path.exists(file):
        return read_toml(file, "barkeep.toml", table=())
    file = os.path.join(directory, "pyproject.toml")
    if os.path.exists(file):
        return read_toml(file, "pyproject.toml", table=("tool", "barkeep"))
    return {}


def _parse_toml(content: bytes, label: str) -> dict[str, object]:
    # Imported only when there is a file to read: it costs 5 ms of the 60 ms a start may take.
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"{label} is not valid TOML: {error}.") from None


def _address_of_port_variable(port: str) -> str:
    # Anything but a plain number would be read as a host, an address list or worse.
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) <= 65535):
        raise SettingError(
            f'PORT must be a whole number from 1 to 65535, found "{port[:20]}" (environment PORT). '
            "Use --bind to listen elsewhere."
        )
    return f"0.0.0.0:{port}"
