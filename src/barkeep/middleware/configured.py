"""The middlewares of the settings: from --middleware, BARKEEP_MIDDLEWARE and [[middleware]] to pieces."""

from __future__ import annotations

from ..errors import SettingError
from .order import wrong_orders
from .registry import make_piece, parse_piece
from .stack import wrapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from ..setting_lists import PieceText
    from ..settings import Settings
    from .registry import Piece


class ConfiguredStack:
    """The pieces that the settings name, outermost first.

    Made where the application is loaded, never in the supervisor: classes of third parties are the user's
    code. Raises SettingError, one line that says which piece of which source it is about.
    """

    def __init__(self, settings: Settings) -> None:
        self._origin = settings.origins["middleware"]
        self._names: list[str] = []
        self.pieces: list[Piece] = []
        for number, text in enumerate(settings.middleware, start=1):
            name, piece = self._make(number, text)
            self._names.append(name)
            self.pieces.append(piece)

    def wrap(self, application: WSGIApplication) -> WSGIApplication:
        """The application with all pieces around it."""
        try:
            return wrapped(application, self.pieces)
        except SettingError as error:
            raise SettingError(f"{error} ({self._origin})") from None

    @property
    def warnings(self) -> list[str]:
        """A sentence for each wrong order."""
        return wrong_orders(self.pieces)

    def describe(self) -> list[str]:
        """One text per piece, outermost first, with the settings that were given; secrets are hidden."""
        from .base import Middleware

        return [
            repr(piece) if isinstance(piece, Middleware) else name
            for name, piece in zip(self._names, self.pieces, strict=True)
        ]

    def _make(self, number: int, found: PieceText) -> tuple[str, Piece]:
        try:
            if isinstance(found, str):
                name, settings = parse_piece(found)
            else:
                name, settings = (
                    str(found["name"]),
                    {key: value for key, value in found.items() if key != "name"},
                )
            return name, make_piece(name, settings)
        except SettingError as error:
            raise SettingError(f"{error} ({self._origin}, middleware {number})") from None
