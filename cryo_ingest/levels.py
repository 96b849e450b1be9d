"""The levels of proof; each one includes those before it (RNG-4)."""

from __future__ import annotations

from typing import Literal

Level = Literal["rows", "chain", "receipts"]
LEVELS: tuple[Level, ...] = ("rows", "chain", "receipts")


def at_least(level: str) -> tuple[Level, ...]:
    """Return `level` and the levels above it."""
    return LEVELS[LEVELS.index(level) :]
