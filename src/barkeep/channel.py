"""What supervisor, zygote and workers say to each other: one JSON object per line over a pair of sockets.

Both ends are ours, but the far end may be an application gone wild: lines are bounded, nobody waits.
"""

from __future__ import annotations

import json
import select
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Message = dict[str, Any]

# A traceback fits; whoever says more in one breath is cut off.
LONGEST_LINE_BYTES = 256 * 1024
# How long a worker waits for the supervisor to read before it gives up telling.
SEND_TIMEOUT_S = 5.0
RECEIVED_AT_ONCE_BYTES = 64 * 1024
RECEIVES_AT_ONCE = 16
MOST_DESCRIPTORS = 8


class Channel:
    """One end. Whoever holds it closes it; the other end then reads the end of the stream."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._socket.setblocking(False)
        self._unfinished = b""
        self._takes_descriptors = False
        self._descriptors: list[int] = []

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Two ends that belong together."""
        one, other = socket.socketpair()
        return cls(one), cls(other)

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._socket.fileno()

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> bool:
        """Tell the other side; False when it cannot hear any more. Copies of the descriptors go along."""
        line = json.dumps(message).encode() + b"\n"
        self._socket.settimeout(SEND_TIMEOUT_S)
        try:
            if descriptors:
                sent = socket.send_fds(self._socket, [line], list(descriptors))
                line = line[sent:]
            self._socket.sendall(line)
        except OSError:
            return False
        finally:
            self._socket.setblocking(False)
        return True

    def receive(self) -> list[Message] | None:
        """What has arrived, without waiting; None when the other side has gone, or talks nonsense."""
        messages: list[Message] = []
        # Not until it is empty: who talks without a pause may not keep the listener from everybody else.
        for _ in range(RECEIVES_AT_ONCE):
            try:
                received = self._receive_once()
            except BlockingIOError:
                return messages
            except OSError:
                return messages or None
            if not received:
                return messages or None
            *lines, self._unfinished = (self._unfinished + received).split(b"\n")
            if len(self._unfinished) > LONGEST_LINE_BYTES:
                return None
            for line in lines:
                message = _parse(line)
                if message is None:
                    return None
                messages.append(message)
        return messages

    def _receive_once(self) -> bytes:
        if not self._takes_descriptors:
            # What comes along is closed by the kernel: an application cannot fill our table.
            return self._socket.recv(RECEIVED_AT_ONCE_BYTES)
        received, descriptors, _flags, _address = socket.recv_fds(
            self._socket, RECEIVED_AT_ONCE_BYTES, MOST_DESCRIPTORS
        )
        self._descriptors += descriptors
        return received

    def wait_for_message(self) -> None:
        """Wait until something arrives, the other side goes, or it takes too long."""
        select.select([self._socket], [], [], SEND_TIMEOUT_S)

    def accept_descriptors(self) -> None:
        """Keep what comes along with messages, for `take_descriptors`. Only from a side that is trusted."""
        self._takes_descriptors = True

    def take_descriptors(self, count: int) -> list[int]:
        """The oldest descriptors that came along; the caller closes them."""
        taken, self._descriptors = self._descriptors[:count], self._descriptors[count:]
        return taken

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


def _parse(line: bytes) -> Message | None:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
