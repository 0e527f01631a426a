"""The shared memory that shows what every worker is doing, read by the supervisor with no help from a worker.

The engines write it (rust/engine/src/scoreboard.rs) with nothing but aligned stores of 64 bits; a test holds
that `LAYOUT` here and the engine's say the same. Times are nanoseconds of `now_ns()`.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Final

MAGIC: Final = b"barkeep1"
HEADER_BYTES: Final = 4096
STATE_BYTES: Final = 4096
BLOCK_BYTES: Final = 4096
BLOCKS: Final = 64
RECORD_BYTES: Final = 256
RECORDS: Final = 1024
BUCKETS: Final = 112
PLACE_BYTES: Final = STATE_BYTES + BLOCKS * BLOCK_BYTES + RECORDS * RECORD_BYTES

# Two generations of 256 workers.
MAX_PLACES: Final = 512

# Name -> (offset, size) in bytes within its part: header, place, state (begins a place), block, record.
LAYOUT: Final[Mapping[str, tuple[int, int]]] = {
    "header.magic": (0, 8),
    "header.places": (8, 8),
    "header.places_used": (16, 8),
    "place": (HEADER_BYTES, PLACE_BYTES),
    "block": (STATE_BYTES, BLOCK_BYTES),
    "record": (STATE_BYTES + BLOCKS * BLOCK_BYTES, RECORD_BYTES),
    "state.pid": (0, 8),
    "state.slot": (8, 8),
    "state.generation": (16, 8),
    "state.state": (64, 8),
    "state.heartbeat_ns": (72, 8),
    "state.connections": (80, 8),
    "state.accepting": (88, 8),
    "state.accepted": (96, 8),
    "state.lame_duck": (104, 8),
    "state.pulse_asked_ns": (112, 8),
    "state.threads": (128, 8),
    "state.busy_threads": (136, 8),
    "state.queued": (144, 8),
    "state.last_taken_ns": (160, 8),
    "state.quarantined": (152, 8),
    "state.blocks_used": (256, 8),
    "state.records_used": (264, 8),
    "state.command": (192, 8),
    "block.requests": (0, 8),
    "block.refused": (8, 8),
    "block.timed_out": (16, 8),
    "block.aborted": (24, 8),
    "block.shed": (32, 8),
    "block.bytes_in": (40, 8),
    "block.bytes_out": (48, 8),
    "block.sums_us": (64, 32),
    "block.head": (128, BUCKETS * 8),
    "block.queue": (128 + BUCKETS * 8, BUCKETS * 8),
    "block.application": (128 + 2 * BUCKETS * 8, BUCKETS * 8),
    "block.write": (128 + 3 * BUCKETS * 8, BUCKETS * 8),
    "record.sequence": (0, 8),
    "record.phase": (8, 8),
    "record.number": (16, 8),
    "record.first_byte_ns": (24, 8),
    "record.since_ns": (32, 8),
    "record.thread": (40, 8),
    "record.thread_ident": (48, 8),
    "record.port": (56, 8),
    "record.method_length": (64, 8),
    "record.target_length": (72, 8),
    "record.client_length": (80, 8),
    "record.connection": (88, 8),
    "record.method": (96, 16),
    "record.target": (112, 104),
    "record.client": (216, 40),
}

STATES: Final = ("starting", "ready", "draining", "stalled", "gone")
PHASES: Final = ("none", "reading", "queued", "running", "writing")
COUNTERS: Final = ("requests", "refused", "timed_out", "aborted", "shed", "bytes_in", "bytes_out")
HISTOGRAMS: Final = ("head", "queue", "application", "write")

# How often a record that is being written is read again. A writer needs a microsecond; one that is stopped in
# the middle (a signal, a debugger) must not stop the reader too.
READ_AGAIN: Final = 100

_STATE_NAMES: Final = tuple(name for name in LAYOUT if name.startswith("state."))
_STATE_WORDS: Final = max(LAYOUT[name][0] for name in _STATE_NAMES) // 8 + 1
_BLOCK_WORDS: Final = BLOCK_BYTES // 8


class Scoreboard:
    """The memory of all workers. Who creates it closes it; a child that was forked may close its own."""

    def __init__(self, descriptor: int, places: int) -> None:
        self.places = places
        self._descriptor = descriptor
        self._memory = mmap.mmap(descriptor, HEADER_BYTES + places * PLACE_BYTES)

    @classmethod
    def create(cls, places: int = MAX_PLACES) -> Scoreboard:
        """Make memory for so many workers. A page that nobody has touched takes no memory.

        Raises OSError when there is none to be had.
        """
        size = HEADER_BYTES + places * PLACE_BYTES
        descriptor = _memory_file(size)
        try:
            scoreboard = cls(descriptor, places)
        except BaseException:
            os.close(descriptor)
            raise
        scoreboard._write("header.places", places)
        scoreboard._memory[: len(MAGIC)] = MAGIC
        return scoreboard

    def fileno(self) -> int:
        """The descriptor that `Engine(scoreboard_fd=...)` takes. It is not inherited over exec."""
        return self._descriptor

    def place(self, index: int) -> PlaceReading:
        """What the worker of this place says of itself now."""
        words = struct.unpack_from(f"<{_STATE_WORDS}Q", self._memory, self._begin(index))
        state = {name.partition(".")[2]: words[LAYOUT[name][0] // 8] for name in _STATE_NAMES}
        return PlaceReading(index, state, self._sum_of_blocks(index, state["blocks_used"]))

    def state(self, index: int) -> str:
        """One of STATES: cheaper than all of `place`."""
        state = self._word(self._begin(index) + LAYOUT["state.state"][0])
        return STATES[state] if state < len(STATES) else "unknown"

    def exchanges(self, index: int) -> list[ExchangeReading]:
        """The requests that a place has under way, those that began first in front.

        A record that changes all the time it is read is left out: its request has just ended or moved on.
        """
        begin = self._begin(index)
        used = min(self._word(begin + LAYOUT["state.records_used"][0]), RECORDS)
        first = begin + LAYOUT["record"][0]
        readings = (self._record(first + number * RECORD_BYTES) for number in range(used))
        return sorted((reading for reading in readings if reading), key=lambda reading: reading.first_byte_ns)

    def clear(self, index: int) -> None:
        """Forget a worker that has ended, and give its memory back: the place is free for another."""
        begin = self._begin(index)
        if sys.platform == "linux":
            try:
                return self._memory.madvise(mmap.MADV_REMOVE, begin, PLACE_BYTES)
            except (AttributeError, OSError):
                # An old Python, or a file system that has no holes.
                pass
        self._memory[begin : begin + PLACE_BYTES] = bytes(PLACE_BYTES)
        return None

    def write_command(self, index: int, command: int) -> None:
        """The supervisor's word to the worker of a place; the worker knows what the number means."""
        struct.pack_into("<Q", self._memory, self._begin(index) + LAYOUT["state.command"][0], command)

    def close(self) -> None:
        """Give the memory back; workers that map it keep theirs."""
        self._memory.close()
        os.close(self._descriptor)

    def _begin(self, index: int) -> int:
        if not 0 <= index < self.places:
            raise IndexError(f"the scoreboard has {self.places} places, found {index}")
        return HEADER_BYTES + index * PLACE_BYTES

    def _write(self, name: str, value: int) -> None:
        struct.pack_into("<Q", self._memory, LAYOUT[name][0], value)

    def _sum_of_blocks(self, index: int, used: int) -> list[int]:
        """The blocks of all threads of a place, added word by word."""
        first = self._begin(index) + LAYOUT["block"][0]
        blocks = [
            struct.unpack_from(f"<{_BLOCK_WORDS}Q", self._memory, first + number * BLOCK_BYTES)
            for number in range(min(used, BLOCKS))
        ]
        return list(map(sum, zip(*blocks, strict=True))) if blocks else [0] * _BLOCK_WORDS

    def _record(self, begin: int) -> ExchangeReading | None:
        phase_at, sequence_at = begin + LAYOUT["record.phase"][0], begin + LAYOUT["record.sequence"][0]
        for _ in range(READ_AGAIN):
            if not self._word(phase_at):
                return None
            before = self._word(sequence_at)
            record = self._memory[begin : begin + RECORD_BYTES]
            if before % 2 == 0 and self._word(sequence_at) == before:
                reading = ExchangeReading(record)
                # The end of an exchange changes its phase alone, also after the first look at it.
                return None if reading.phase == "none" else reading
        return None

    def _word(self, offset: int) -> int:
        word: int = struct.unpack_from("<Q", self._memory, offset)[0]
        return word


def now_ns() -> int:
    """The engines' clock. On macOS it goes on while the machine sleeps, and time.monotonic_ns() does not."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def _memory_file(size: int) -> int:
    """An unnamed file in memory. Nobody can make it shorter: touching what is gone would end a worker."""
    if sys.platform == "linux" and hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("barkeep-scoreboard", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        import tempfile

        with tempfile.TemporaryFile(prefix="barkeep-scoreboard-") as file:
            descriptor = os.dup(file.fileno())
    try:
        os.ftruncate(descriptor, size)
        if sys.platform == "linux" and hasattr(os, "memfd_create"):
            import fcntl

            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class PlaceReading:
    """One worker at one moment. Each number is whole; two of them may be a moment apart."""

    def __init__(self, index: int, state: Mapping[str, int], blocks: list[int]) -> None:
        self.index = index
        self.pid = state["pid"]
        self.slot = state["slot"]
        self.generation = state["generation"]
        self.state = STATES[state["state"]] if state["state"] < len(STATES) else "unknown"
        # 0: the engine never ran.
        self.heartbeat_ns = state["heartbeat_ns"]
        # 0: Python was not asked whether it runs.
        self.pulse_asked_ns = state["pulse_asked_ns"]
        self.threads = state["threads"]
        self.busy_threads = state["busy_threads"]
        self.quarantined = state["quarantined"]
        self.queued = state["queued"]
        # When a thread last took a request; 0: none ever did.
        self.last_taken_ns = state["last_taken_ns"]
        self.connections = state["connections"]
        self.accepted = state["accepted"]
        self.is_accepting = bool(state["accepting"])
        self.is_lame_duck = bool(state["lame_duck"])
        self.command = state["command"]
        self.counters = {name: blocks[LAYOUT[f"block.{name}"][0] // 8] for name in COUNTERS}
        self.histograms = dict(self._histograms(blocks))

    @staticmethod
    def _histograms(blocks: list[int]) -> Iterator[tuple[str, Histogram]]:
        sums_at = LAYOUT["block.sums_us"][0] // 8
        for number, name in enumerate(HISTOGRAMS):
            begin = LAYOUT[f"block.{name}"][0] // 8
            yield name, Histogram(blocks[begin : begin + BUCKETS], blocks[sums_at + number])


class Histogram:
    """How long something took, in microseconds: how many fell into each bucket, and the sum of all."""

    def __init__(self, counts: list[int], sum_us: int) -> None:
        self.counts = counts
        self.sum_us = sum_us
        self.count = sum(counts)

    def __add__(self, other: Histogram) -> Histogram:
        return Histogram(
            [mine + its for mine, its in zip(self.counts, other.counts, strict=True)],
            self.sum_us + other.sum_us,
        )

    def percentile_us(self, percent: float) -> float:
        """What so many percent did not take longer than; off by an eighth at the most. 0.0 without any."""
        rank = self.count * percent / 100
        seen = 0
        for bucket, count in enumerate(self.counts):
            seen += count
            if count and seen >= rank:
                low, high = bucket_bounds_us(bucket)
                return (low + high - 1) / 2
        return 0.0


def bucket_bounds_us(bucket: int) -> tuple[int, int]:
    """The least microseconds of a bucket, and of the next: one each below 4, then four to a power of two.

    The last bucket has no upper end of its own; what it says is its nominal one.
    """
    if bucket < 4:
        return bucket, bucket + 1
    power, quarter = bucket // 4 + 1, bucket % 4
    step = 1 << (power - 2)
    return (4 + quarter) * step, (5 + quarter) * step


class ExchangeReading:
    """One request under way, as its connection's record shows it. Texts are escaped and may be cut."""

    def __init__(self, record: bytes) -> None:
        def word(name: str) -> int:
            return int.from_bytes(_part(record, name), "little")

        phase = word("phase")
        self.phase = PHASES[phase] if phase < len(PHASES) else "unknown"
        self.connection = word("connection")
        # Of its connection, from 1; with `connection` it names the request.
        self.number = word("number")
        self.first_byte_ns = word("first_byte_ns")
        # When the phase began.
        self.since_ns = word("since_ns")
        # 0: no application thread has it.
        self.thread = word("thread")
        self.thread_ident = word("thread_ident")
        self.method = _shown(_part(record, "method"), word("method_length"))
        self.target = _shown(_part(record, "target"), word("target_length"))
        # Empty for a unix socket.
        self.client = _shown(_part(record, "client"), word("client_length"))
        self.client_port = word("port")


def _part(record: bytes, name: str) -> bytes:
    offset, size = LAYOUT[f"record.{name}"]
    return record[offset : offset + size]


def _shown(text: bytes, length: int) -> str:
    """Printable ASCII as it is, all else as \\xNN: no request can write to a terminal. "..." when cut."""
    characters = (
        chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02x}" for byte in text[:length]
    )
    return "".join(characters) + ("..." if length > len(text) else "")
