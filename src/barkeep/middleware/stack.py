"""Several middlewares around one application, outermost first."""

from __future__ import annotations

from .order import wrong_orders

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from .registry import Piece


class MiddlewareOrderWarning(UserWarning):
    """Two middlewares stand in an order in which one of them cannot do its work."""


def stack(application: WSGIApplication, /, *pieces: Piece) -> WSGIApplication:
    """The application with these pieces around it; the first one sees the request first.

    A piece is a configured middleware, or anything else that takes an application and returns one. A wrong
    order is warned about (MiddlewareOrderWarning) and used as given.
    """
    sentences = wrong_orders(pieces)
    if sentences:
        # Imported when there is something to warn about.
        import warnings

        for sentence in sentences:
            warnings.warn(sentence, MiddlewareOrderWarning, stacklevel=2)
    return wrapped(application, pieces)


def wrapped(application: WSGIApplication, pieces: tuple[Piece, ...] | list[Piece]) -> WSGIApplication:
    """As `stack`, without a word about the order."""
    for piece in reversed(pieces):
        application = piece(application)
    return application
