"""Tell systemd what happens (sd_notify(3)): ready, reloading, stopping, status, main process, watchdog."""

from __future__ import annotations

import os
import socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")

# The watchdog is fed twice per interval, as sd_watchdog_enabled(3) advises.
FEEDS_PER_INTERVAL = 2

# Characters of a status line; systemctl shows one line.
MAX_STATUS_CHARS = 200


class Notifier:
    """The socket of the service manager, or nothing; every call returns at once and none raises.

    The result says whether the message is on its way: False to try again later (the manager's queue is
    full), and True also when nobody listens.
    """

    __slots__ = ("_address", "_interval_us", "_path", "_socket")

    def __init__(self, path: str = "", watchdog_interval_us: int = 0) -> None:
        """path: of a unix datagram socket, or "@name" in the abstract namespace; "" is nobody."""
        self._path = path
        self._interval_us = watchdog_interval_us
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._socket: socket.socket | None = None
        if path:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)

    @classmethod
    def from_environ(cls, environ: MutableMapping[str, str]) -> Notifier:
        """What systemd left for this process; removed from environ, so that no child takes it for its own."""
        path, interval, pid = (environ.pop(name, "") for name in VARIABLES)
        is_path = path.startswith(("/", "@")) and len(path) > 1
        if not is_path:
            return cls()
        is_fed_by_us = interval.isascii() and interval.isdigit() and pid in ("", str(os.getpid()))
        return cls(path, int(interval) if is_fed_by_us else 0)

    def environment(self) -> dict[str, str]:
        """Variables for a supervisor that takes our place; WATCHDOG_PID is left out, as it has another id."""
        if not self._path:
            return {}
        interval = {"WATCHDOG_USEC": str(self._interval_us)} if self._interval_us else {}
        return {"NOTIFY_SOCKET": self._path, **interval}

    @property
    def watchdog_interval_s(self) -> float | None:
        """Seconds between two calls of `watchdog`; None when systemd does not watch."""
        return self._interval_us / FEEDS_PER_INTERVAL / 1e6 if self._interval_us else None

    def ready(self, pid: int) -> bool:
        """Serving has begun, or a reload is over. pid: of the supervisor."""
        return self._send("READY=1", f"MAINPID={pid}")

    def reloading(self, now_ns: int | None = None) -> bool:
        """A reload begins; `ready` ends it. now_ns: of CLOCK_MONOTONIC, which Type=notify-reload compares."""
        now_us = (time.monotonic_ns() if now_ns is None else now_ns) // 1000
        return self._send("RELOADING=1", f"MONOTONIC_USEC={now_us}")

    def stopping(self) -> bool:
        """The end has begun."""
        return self._send("STOPPING=1")

    def status(self, text: str) -> bool:
        """A line for systemctl status."""
        return self._send(f"STATUS={' '.join(text.split())[:MAX_STATUS_CHARS]}")

    def main_pid(self, pid: int) -> bool:
        """Another process is the supervisor now. Only the one before it may say so (NotifyAccess=main)."""
        return self._send(f"MAINPID={pid}")

    def watchdog(self) -> bool:
        """All is well. Without it for a whole interval systemd ends us and starts anew."""
        return self._send("WATCHDOG=1")

    def close(self) -> None:
        """Close the socket, also in a child after a fork; every later call does nothing."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *assignments: str) -> bool:
        if self._socket is None:
            return True
        try:
            self._socket.sendto("\n".join(assignments).encode("utf-8", "replace"), self._address)
        except BlockingIOError:
            return False
        except OSError:
            # The manager has gone or forbids it: serving must not end for that.
            return True
        return True
