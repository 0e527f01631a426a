"""Steps 1 to 6, under everything that goes wrong - each request has one fate, and a lost one its culprit.

CHAOS_SECONDS says how long it lasts, CHAOS_SEED what happens in which order: CHAOS_SECONDS=3600 CHAOS_SEED=7.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from tests.behaviour.chaos import Chaos

SECONDS = float(os.environ.get("CHAOS_SECONDS", "40"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))


@pytest.mark.parametrize("preload", [False, True])
def test_each_request_is_answered_refused_shed_timed_out_or_lost_with_a_worker_that_was_killed(
    tmp_path: Path, *, preload: bool
) -> None:
    with closing(Chaos(tmp_path, SEED, preload=preload)) as chaos:
        account = chaos.run(SECONDS / 2)
        print(f"seed {SEED}: {account.told()}; {len(chaos.events)} events")
        faults = account.faults()
        # The log is long: only a failure prints it.
        report = [*faults, "-- events", *chaos.events, "-- log", *account.log]
        assert not faults, "\n".join([f"seed {SEED}: {account.told()}", *report])
