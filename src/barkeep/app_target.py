"""The target as typed, such as "site:create_app('test')": which module, which name, called with what."""

from __future__ import annotations

import os

from .errors import AppLoadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ast

FORMS = "module:name, module:name.attribute, module:factory('text', n=1), path/to/file.py:name or module"

# Tried in this order when the target names a module alone: what mod_wsgi looks for, then what people write.
USUAL_NAMES = ("application", "app")


class Target:
    """What to load.

    module: dotted name to import.
    directory: where a target given as a file is imported from; "" for a module.
    names: candidate dotted names in the module, in the order they are tried.
    call: (positional, keyword) literals for a factory, or None when the name itself is the application.
    """

    __slots__ = ("call", "directory", "module", "names", "text")

    def __init__(
        self,
        text: str,
        directory: str,
        module: str,
        names: tuple[str, ...],
        call: tuple[list[object], dict[str, object]] | None,
    ) -> None:
        self.text = text
        self.directory = directory
        self.module = module
        self.names = names
        self.call = call


def parse_target(text: str) -> Target:
    """Take a target apart; relative files count from the working directory.

    Raises AppLoadError when it is none of the forms, or names a file that is not there.
    """
    place, colon, expression = text.partition(":")
    if place.endswith(".py") or "/" in place:
        directory, module = _module_of_file(text, place)
    else:
        directory, module = "", place
    if not all(part.isidentifier() for part in module.split(".")):
        raise AppLoadError(f'cannot load "{text}": "{module}" is not a module name. Write {FORMS}.')
    if not colon:
        return Target(text, directory, module, USUAL_NAMES, None)
    if all(part.isidentifier() for part in expression.split(".")):
        return Target(text, directory, module, (expression,), None)
    name, call = _parse_call(text, expression)
    return Target(text, directory, module, (name,), call)


def _module_of_file(text: str, file: str) -> tuple[str, str]:
    """The directory to import from and the dotted module name; a file inside packages keeps its full name."""
    if not os.path.isfile(file):
        what = "is a directory" if os.path.isdir(file) else "does not exist"
        raise AppLoadError(f'cannot load "{text}": the file {os.path.abspath(file)} {what}. Write {FORMS}.')
    directory, base = os.path.split(os.path.realpath(file))
    stem = os.path.splitext(base)[0]
    parts = [] if stem == "__init__" else [stem]
    # A module in a package must be imported as part of it, or its relative imports fail.
    while os.path.isfile(os.path.join(directory, "__init__.py")):
        directory, package = os.path.split(directory)
        parts.insert(0, package)
    return directory, ".".join(parts)


def _parse_call(text: str, expression: str) -> tuple[str, tuple[list[object], dict[str, object]]]:
    # Imported for factories only: ast costs 2 ms, and most targets are plain names.
    import ast

    refusal = AppLoadError(
        f'cannot load "{text}": "{expression}" is neither a name nor a call with literal arguments. '
        f"Write {FORMS}."
    )
    try:
        node = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise refusal from None
    if not isinstance(node, ast.Call):
        raise refusal
    name = _dotted_name(node.func)
    if not name:
        raise refusal
    try:
        positional = [ast.literal_eval(argument) for argument in node.args]
        keywords = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
    except (ValueError, TypeError, RecursionError, MemoryError):
        raise refusal from None
    named = {name: value for name, value in keywords.items() if name is not None}
    if len(named) != len(node.keywords):
        # **{...} has no name, and a name twice would lose one of its values.
        raise refusal
    return name, (positional, named)


def _dotted_name(node: ast.expr) -> str:
    """The text of Name or Name.attribute.attribute; "" for anything else."""
    import ast

    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = _dotted_name(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""
