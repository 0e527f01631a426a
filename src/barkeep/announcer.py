"""Who is told what the supervisor does: the operator's hooks, the service manager, the pid file."""

from __future__ import annotations

import os
import time

from .pid_file import PidFile
from .process_title import set_title, supervisor_title

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .hooks import Hooks
    from .reloading import Outcome
    from .settings import Settings
    from .systemd_notify import Notifier


class Announcer:
    """One method per event. None of them waits, and only `starting` may raise."""

    def __init__(self, settings: Settings, hooks: Hooks, notifier: Notifier, *, is_upgrade: bool) -> None:
        """is_upgrade: another supervisor holds the pid file until we are ready."""
        self._settings = settings
        self._hooks = hooks
        self._notifier = notifier
        self._is_upgrade = is_upgrade
        self._pid_file: PidFile | None = None
        self._fed_at_s = 0.0

    def starting(self, listeners: list[str]) -> None:
        """Nothing has been loaded yet. Raises SettingError when the pid file cannot be had."""
        set_title(supervisor_title(self._settings.name))
        if not self._is_upgrade:
            self._take_pid_file()
        self._hooks.starting(name=self._settings.name, pid=os.getpid(), listeners=listeners)

    def serving(self, generation: int) -> None:
        """The first generation takes requests."""
        if self._is_upgrade:
            self._take_pid_file()
        self._tell_ready(generation, "")

    def reloading(self) -> None:
        """A new generation is being loaded."""
        self._notifier.reloading()

    def reloaded(self, outcome: Outcome, serving: int) -> None:
        """A reload has ended. serving: the generation that takes requests now."""
        self._tell_ready(serving, outcome.reason)
        self._hooks.reloaded(generation=outcome.generation, is_good=outcome.is_good, reason=outcome.reason)

    def stopping(self, reason: str) -> None:
        """The end has begun."""
        self._notifier.stopping()
        self._hooks.stopping(reason=reason)

    def handed_over(self, pid: int) -> None:
        """Another supervisor has taken our place."""
        self._notifier.main_pid(pid)
        if self._pid_file is not None:
            self._pid_file.hand_over()
            self._pid_file = None

    def ended(self) -> None:
        """The last worker has gone."""
        if self._pid_file is not None:
            self._pid_file.remove()

    def feed_watchdog(self, *, is_healthy: bool) -> None:
        """The workers have been looked at; the service manager hears of it while all is well."""
        interval_s = self._notifier.watchdog_interval_s
        now_s = time.monotonic()
        if interval_s is not None and is_healthy and now_s - self._fed_at_s >= interval_s:
            self._fed_at_s = now_s
            self._notifier.watchdog()

    def environment(self) -> dict[str, str]:
        """Variables for the supervisor of an upgrade."""
        return self._notifier.environment()

    def in_child(self) -> None:
        """After a fork, in the child: the service manager hears the supervisor only."""
        self._notifier.close()

    def _take_pid_file(self) -> None:
        if self._settings.pid_file:
            self._pid_file = PidFile(self._settings.pid_file)

    def _tell_ready(self, generation: int, failed_reload: str) -> None:
        self._notifier.ready(os.getpid())
        trouble = f"; the last reload failed: {failed_reload}" if failed_reload else ""
        self._notifier.status(f"generation {generation} serves{trouble}")
