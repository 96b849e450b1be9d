"""The levels of proof, each one showing all that those before it show (RNG-4)."""

from __future__ import annotations

from typing import Literal

Level = Literal["rows", "chain", "receipts"]
LEVELS: tuple[Level, ...] = ("rows", "chain", "receipts")


def at_least(level: str) -> tuple[Level, ...]:
    """Return the levels that show all that `level` shows."""
    return LEVELS[LEVELS.index(level) :]
