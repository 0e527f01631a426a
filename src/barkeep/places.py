"""Which part of the scoreboard belongs to which worker, and what stands there."""

from __future__ import annotations

from .scoreboard import Scoreboard, now_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .launcher import WorkerProcess
    from .scoreboard import ExchangeReading, PlaceReading

# Requests of a dead worker that the log names one by one.
NAMED_REQUESTS = 20


class Places:
    """The scoreboard, and who has which place. Whoever makes it closes it."""

    def __init__(self) -> None:
        """Raises OSError when there is no memory to share."""
        self.scoreboard = Scoreboard.create()
        self._free = list(range(self.scoreboard.places - 1, -1, -1))

    def take(self) -> int:
        """A place that nobody has. Raises OSError when all are taken."""
        if not self._free:
            raise OSError(0, "too many workers at once")
        return self._free.pop()

    def give(self, place: int) -> None:
        """The worker of the place has ended: what stood there is forgotten."""
        self.scoreboard.clear(place)
        self._free.append(place)

    def reading(self, worker: WorkerProcess) -> PlaceReading:
        """What a worker says of itself now, in numbers."""
        return self.scoreboard.place(worker.place)

    def exchanges(self, worker: WorkerProcess) -> list[ExchangeReading]:
        """The requests that a worker has under way, the oldest first."""
        return self.scoreboard.exchanges(worker.place)

    def tell_requests(self, worker: WorkerProcess) -> str:
        """The requests that a worker has under way, for a log: "" for none."""
        exchanges = self.exchanges(worker)
        read_ns = now_ns()
        told = [
            f"{exchange.method} {exchange.target} from {exchange.client}, {exchange.phase} for "
            f"{(read_ns - exchange.first_byte_ns) / 1e9:.1f} s"
            for exchange in exchanges[:NAMED_REQUESTS]
        ]
        if len(exchanges) > NAMED_REQUESTS:
            told.append(f"and {len(exchanges) - NAMED_REQUESTS} more")
        return "; ".join(told)

    def close(self) -> None:
        """Give the memory back."""
        self.scoreboard.close()
