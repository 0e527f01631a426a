"""Who is told what the supervisor does: the log at debug level."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .supervisor import Supervisor


class Announcer:
    """Passes on what has happened; nobody who listens can hurt serving."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def tell(self, what: str, **details: object) -> None:
        """One event, by its name in hooks.py."""
        self._supervisor.log.debug(f"{what} {details}")

    def feed_watchdog(self, *, is_healthy: bool) -> None:
        """The workers have been looked at."""
