"""RFC 9110 section 6.6.1, Date: every answer of a server with a clock has one, in the preferred format."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest

from tests.apps import GET, answering, streaming
from tests.raw_client import ask

if TYPE_CHECKING:
    from tests.apps import Serve

IMF_FIXDATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT")
TICK = timedelta(seconds=1)


@pytest.mark.parametrize(
    "request_bytes", [GET, b"GET / HTTP/1.0\r\n\r\n", b"bad\r\n\r\n", b"GET / HTTP/3.0\r\n\r\n"]
)
@pytest.mark.parametrize("application", [answering(b"x"), streaming(b"x"), answering(status="204 None")])
def test_date_is_the_moment_of_the_answer(serve: Serve, application: object, request_bytes: bytes) -> None:
    address = serve(application).address
    before = datetime.now(timezone.utc).replace(microsecond=0)
    date = ask(address, request_bytes).head.field("Date")
    assert IMF_FIXDATE.fullmatch(date)
    found = parsedate_to_datetime(date)
    # The text is made once a second, so it may be the second's before.
    assert before - TICK <= found <= datetime.now(timezone.utc)
    assert format_datetime(found, usegmt=True) == date
