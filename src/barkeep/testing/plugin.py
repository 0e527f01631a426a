"""The pytest plugin: fixtures that start servers and make clients. It imports nothing until one is used."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .client import Client
    from .live import LiveServer

# Plugins with a fixture of the same name, which their users mean.
OTHERS_WITH_LIVE_SERVER = ("django", "pytest_django", "flask", "pytest_flask")


@pytest.fixture
def barkeep_server() -> Iterator[Callable[..., LiveServer]]:
    """Start servers: barkeep_server(application, **settings). Stopped when the test ends."""
    from .live import LiveServer

    with ExitStack() as stack:

        def start(application: object, /, **settings: object) -> LiveServer:
            server = LiveServer(application, **settings)  # type: ignore[arg-type]
            stack.callback(server.stop)
            return server

        yield start


@pytest.fixture
def barkeep_client() -> Callable[..., Client]:
    """Make clients without sockets: barkeep_client(application, **options)."""
    from .client import Client

    return Client


class LiveServerFixture:
    """`live_server`, where no other plugin has it."""

    @pytest.fixture
    def live_server(self, barkeep_server: Callable[..., LiveServer]) -> Callable[..., LiveServer]:
        """The same as barkeep_server."""
        return barkeep_server


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Offer the short name too, unless it is taken."""
    manager = config.pluginmanager
    if not any(manager.has_plugin(name) for name in OTHERS_WITH_LIVE_SERVER):
        manager.register(LiveServerFixture(), "barkeep-live-server")
