"""The strict client of barkeep.testing, by the name under which our tests know it."""

from __future__ import annotations

from barkeep.testing.raw_client import TIMEOUT_S, Address, Answer, Client, CutAnswer, Head, WrongAnswer, ask

__all__ = ["TIMEOUT_S", "Address", "Answer", "Client", "CutAnswer", "Head", "WrongAnswer", "ask"]
