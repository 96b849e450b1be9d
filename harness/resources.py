"""Finds the fixtures: in the installed wheel, or at the root of a checkout."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def fixtures() -> Path:
    """Return the folder of scenarios, tasks and golden files."""
    installed = PACKAGE / "fixtures"
    return installed if installed.is_dir() else PACKAGE.parent / "fixtures"


def dockerfiles() -> Path:
    """Return the folder of the Dockerfiles."""
    installed = PACKAGE / "images"
    return installed if installed.is_dir() else PACKAGE.parent / "images"


def checkout() -> Path:
    """Return the root of the checkout that contains this package.

    Raises:
        FileNotFoundError: the package is an installed wheel, without the sources for the worker's image.
    """
    root = PACKAGE.parent
    if not (root / "pyproject.toml").is_file():
        raise FileNotFoundError("the images of Cryo and of the worker are built from a checkout of the repository")
    return root


@cache
def clauses() -> dict[str, dict[str, str]]:
    """Return the `source` (S, W or +) and `text` of each clause by id; scripts/clauses.py writes the file."""
    by_id: dict[str, dict[str, str]] = json.loads((PACKAGE / "checks" / "clauses.json").read_text(encoding="utf-8"))
    return by_id


def clause_ids() -> tuple[str, ...]:
    """Return the ids of all clauses in the contract's order."""
    return tuple(clauses())
