"""examples/whole_stack as its README starts it, on free ports: the shop, and the warehouse behind it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.behaviour.processes import ServerProcess, clean_environ

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "whole_stack"

# Where barkeep.toml says that the warehouse is.
WAREHOUSE = "127.0.0.1:8001"


class WholeStack:
    """Both servers. shop, warehouse: HOST:PORT where they listen."""

    def __init__(self, directory: Path, shop: ServerProcess, warehouse: str) -> None:
        self.directory = directory
        self.server = shop
        self.shop = address_of(shop)
        self.warehouse = warehouse

    def token(self, name: str) -> str:
        """What make_token.py prints."""
        words = [sys.executable, "make_token.py", name]
        return subprocess.run(
            words, cwd=self.directory, check=True, capture_output=True, text=True
        ).stdout.strip()

    def wait_for_access(self, path: str, status: int) -> dict[str, Any]:
        """The next line of the access log with this path and status, since the last one waited for."""
        while True:
            line: dict[str, Any] = json.loads(self.server.wait_for_output(f'"path":"{path}"'))
            if line["status"] == status:
                return line


@contextmanager
def whole_stack(directory: Path) -> Iterator[WholeStack]:
    """Make the site in this directory and serve it, with lint; at the end, nothing may have been told."""
    site = directory / "site"
    shutil.copytree(EXAMPLE, site, ignore=shutil.ignore_patterns("made", "__pycache__"))
    subprocess.run([sys.executable, "make_site.py"], cwd=site, check=True)
    anywhere = ("--bind", "127.0.0.1:0", "--lint")
    environ = clean_environ(PYTHONDONTWRITEBYTECODE="1")
    words = ("-c", "warehouse.toml", "warehouse:application", *anywhere)
    with closing(ServerProcess(*words, environ=environ, cwd=site)) as warehouse:
        address = address_of(warehouse)
        settings = site / "barkeep.toml"
        settings.write_text(settings.read_text().replace(WAREHOUSE, address))
        with closing(ServerProcess("shop:app", *anywhere, environ=environ, cwd=site)) as shop:
            yield WholeStack(site, shop, address)
            for server in (shop, warehouse):
                assert server.stop() == 0
                told = [
                    line for line in server.log if "lint: " in line or "error:" in line or "warning:" in line
                ]
                assert told == [], "\n".join(told)


def address_of(server: ServerProcess) -> str:
    address = server.address()
    assert not isinstance(address, str)
    return f"{address[0]}:{address[1]}"
