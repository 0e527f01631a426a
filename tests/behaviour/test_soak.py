"""Steps 1 to 6, for a while - 20,000 mixed requests leave nothing behind; soak.py makes 2 million."""

from __future__ import annotations

from tests.behaviour.soak import has_not_grown, soak


def test_twenty_thousand_mixed_requests_leave_nothing_behind() -> None:
    before, after = soak(requests=16_000, warm_up=4_000)
    assert has_not_grown(before, after), (before, after)
