"""A headless Chromium for tests, driven by its DevTools protocol over a pair of pipes.

No sleeps: every call ends with an answer or an event of the browser.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.programs import find_program

WAIT_S = 60.0

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# --remote-debugging-pipe reads commands from the one and writes to the other.
COMMANDS_FD, EVENTS_FD = 3, 4

WORDS = (
    "--headless",
    "--remote-debugging-pipe",
    # Its sandbox needs rights that containers do not give; it sees our own pages only.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--autoplay-policy=no-user-gesture-required",
)


def find_browser() -> str:
    """The program. Without it a test fails in CI, and is skipped elsewhere."""
    return next(filter(None, map(shutil.which, NAMES)), None) or find_program("chromium")


class Browser:
    """One browser with one profile. Whoever makes it closes it.

    addresses: HOST:PORT as pages say it -> HOST:PORT where it really is.
    """

    def __init__(self, directory: Path, addresses: Mapping[str, str]) -> None:
        rules = ",".join(f"MAP {said} {real}" for said, real in addresses.items())
        words = [*WORDS, f"--user-data-dir={directory}", f"--host-resolver-rules={rules}", "about:blank"]
        commands_read, self._commands = os.pipe()
        self._events, events_write = os.pipe()
        # Out of the way of 3 and 4, so that no dup2 below hides what the next one needs.
        moved = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (commands_read, events_write)]
        shell = f'exec "$@" {COMMANDS_FD}<&{moved[0]} {EVENTS_FD}>&{moved[1]} {moved[0]}<&- {moved[1]}>&-'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", shell, "browser", find_browser(), *words],
            pass_fds=moved,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in (commands_read, events_write, *moved):
            os.close(fd)
        self._unread = b""
        self._number = 0
        self._messages: deque[dict[str, Any]] = deque()

    def page(self) -> Page:
        """A new page in a context of its own: no cookies, nothing in its cache."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Page(self, session, context)

    def call(self, method: str, session: str = "", **values: object) -> dict[str, Any]:
        """One command of the protocol, and its result. Events that come meanwhile are kept."""
        self._number += 1
        number = self._number
        message = {
            "id": number,
            "method": method,
            "params": values,
            **({"sessionId": session} if session else {}),
        }
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        answer = self._take(lambda found: found.get("id") == number)
        assert "error" not in answer, answer["error"]
        result: dict[str, Any] = answer["result"]
        return result

    def wait_for(self, method: str, session: str, fits: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The first event of this kind that fits, taken from those that came and those that come."""
        event = self._take(
            lambda found: (
                found.get("method") == method and found.get("sessionId") == session and fits(found["params"])
            )
        )
        params: dict[str, Any] = event["params"]
        return params

    def forget(self, session: str) -> None:
        """Drop the events of a page that came so far."""
        self._messages = deque(found for found in self._messages if found.get("sessionId") != session)

    def close(self) -> None:
        """End it, its children too."""
        os.close(self._commands)
        try:
            # The end of its commands is the end of the browser.
            self._process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(WAIT_S)
        os.close(self._events)

    def _take(self, fits: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        until_s = time.monotonic() + WAIT_S
        looked_at: deque[dict[str, Any]] = deque()
        try:
            while True:
                message = self._messages.popleft() if self._messages else self._read(until_s)
                if fits(message):
                    return message
                looked_at.append(message)
        finally:
            self._messages.extendleft(reversed(looked_at))

    def _read(self, until_s: float) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._events], [], [], max(0.0, until_s - time.monotonic()))
            assert ready, "the browser did not tell what was waited for"
            received = os.read(self._events, 1 << 20)
            assert received, f"the browser ended with {self._process.wait(WAIT_S)}"
            self._unread += received
        text, _, self._unread = self._unread.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message


class Page:
    """One tab."""

    def __init__(self, browser: Browser, session: str, context: str) -> None:
        self._browser = browser
        self._session = session
        self._context = context
        for domain in ("Page", "Network", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **values: object) -> dict[str, Any]:
        """One command of the protocol for this page."""
        return self._browser.call(method, self._session, **values)

    def wait_for(
        self, method: str, fits: Callable[[dict[str, Any]], object] = lambda _event: True
    ) -> dict[str, Any]:
        """The first event of this kind that fits, since `go` or the last one waited for."""
        return self._browser.wait_for(method, self._session, fits)

    def close(self) -> None:
        """End it, and its connections: a video that it does not read to the end keeps a server waiting."""
        self._browser.call("Target.disposeBrowserContext", browserContextId=self._context)
        self._browser.forget(self._session)

    def go(self, url: str) -> None:
        """Load a page, to its load event. Earlier events are forgotten."""
        self._browser.forget(self._session)
        told = self.call("Page.navigate", url=url)
        assert "errorText" not in told, told
        self.wait_for("Page.loadEventFired")

    def run(self, script: str) -> Any:
        """The value of an expression of JavaScript; a promise is waited for. What it throws is raised."""
        told = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            raise AssertionError(told["exceptionDetails"]["exception"].get("description"))
        return told["result"].get("value")
