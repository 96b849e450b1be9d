"""A `cryo` executable over the PyPI wheel of Cryo 0.3.2, which ships none."""

from pathlib import Path


def genuine_binary() -> Path | None:
    """Stub until merged."""
    return None
