"""Steps 1 to 6, for a while - 20,000 mixed requests leave nothing behind; soak.py makes 2 million."""

from __future__ import annotations

from tests.behaviour.soak import has_not_grown, soak


def test_twenty_thousand_mixed_requests_leave_nothing_behind() -> None:
    before, after = soak(requests=16_000, warm_up=4_000)
    assert has_not_grown(before, after), (before, after)


def test_more_threads_than_processors_give_each_of_many_clients_its_own_answers() -> None:
    # The machine's processors decide how many run at once, without a GIL those of Python too.
    before, after = soak(requests=4_000, warm_up=2_000, threads=16, clients=8)
    assert (after.descriptors, after.threads) == (before.descriptors, before.threads)
