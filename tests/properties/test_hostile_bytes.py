"""Whatever a peer sends, it gets well-formed answers, none after a refusal, and the server goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.apps import GET, Served, echo_body
from tests.case_files import read_cases
from tests.properties.profile import PROPERTY
from tests.raw_client import Address, Client, CutAnswer, ask

SEEDS = [case.data for case in read_cases() if 0 < len(case.data) < 500]

# Bytes that mean something somewhere in HTTP, and some that look as if they did.
TELLING = st.sampled_from(
    [
        *(b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"%"),
        *(b"0", b"-1", b"+", b"_", b"\xa0", b"\x85", b"chunked", b"Host: b\r\n"),
        *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"),
    ]
)


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A case with a few places changed, or two cases run together."""
    data = draw(st.sampled_from(SEEDS))
    if draw(st.booleans()):
        data += draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 6)))
        inserted = draw(st.one_of(st.just(b""), TELLING, st.binary(max_size=4)))
        data = data[:at] + inserted + data[end:]
    return data


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    """One server that must live through all examples."""
    served = Served(echo_body, log_level="error")
    yield served.address
    served.stop()


def statuses(address: Address, pieces: list[bytes]) -> list[int]:
    """The status of every answer until the connection ends in order, as the strict reader sees them."""
    found: list[int] = []
    with Client(address) as client:
        for piece in pieces:
            client.send(piece)
        client.finish()
        while True:
            try:
                # No body is read: a method may be HEAD or not, and the next status line is what counts.
                found.append(client.read_head().status)
                client.skip_to_status_line()
            except CutAnswer as end:
                if end.was_reset:
                    raise
                return found


@PROPERTY
@given(data=st.one_of(mutations(), st.binary(max_size=100)), cut=st.floats(0, 1))
def test_refusal_is_the_last_answer_and_pieces_make_no_difference(
    address: Address, data: bytes, cut: float
) -> None:
    at = int(cut * len(data))
    found = statuses(address, [data])
    assert found == statuses(address, [data[:at], data[at:]])
    final = [status for status in found if status >= 200]
    assert all(status == 200 for status in final[:-1])
    assert ask(address, GET).status == 200
