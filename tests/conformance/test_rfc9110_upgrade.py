"""RFC 9110 section 7.8, Upgrade: a server may ignore it, and this one does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.apps import GET, echo, environ_of
from tests.raw_client import Client

if TYPE_CHECKING:
    from tests.apps import Serve


@pytest.mark.parametrize(
    "lines",
    [
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n",
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        b"Connection: upgrade\r\nUpgrade: TLS/1.0, x\r\n",
        b"Upgrade: websocket\r\n",
    ],
)
def test_upgrade_is_ignored_and_the_connection_stays_with_http_11(serve: Serve, lines: bytes) -> None:
    with Client(serve(echo).address) as client:
        client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n" + GET)
        answer = client.read_answer()
        assert (answer.status, answer.interim) == (200, ())
        assert not answer.head.has("Upgrade")
        assert environ_of(answer.body)["HTTP_UPGRADE"]
        assert client.read_answer().status == 200
