"""Libraries that only one middleware needs: they come with an extra of the package, and are imported late."""

from __future__ import annotations

import importlib

from ..errors import SettingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def library(module_name: str, extra: str, needed_for: str) -> ModuleType:
    """The module, imported. Raises SettingError that says how to install it.

    needed_for: begins the sentence, as in `BasicAuth with bcrypt`.
    """
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise SettingError(
            f"{needed_for} needs the library {error.name or module_name}. "
            f"Install it with: pip install 'barkeep[{extra}]'"
        ) from None
