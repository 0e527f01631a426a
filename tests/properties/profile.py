"""How property tests run: the same examples each time, and no files left behind."""

from __future__ import annotations

from hypothesis import settings

PROPERTY = settings(
    max_examples=150,
    # The same examples on every run: a red build can be run again, and CI never fails by luck.
    derandomize=True,
    database=None,
    # A shared machine may stand still for a moment, and that is no fault of an example.
    deadline=None,
)
