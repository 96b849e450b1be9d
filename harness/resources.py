"""Finds the fixtures: inside the installed wheel, or at the root of a checkout."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def fixtures() -> Path:
    """Return the folder of scenarios, tasks and golden files."""
    installed = PACKAGE / "fixtures"
    return installed if installed.is_dir() else PACKAGE.parent / "fixtures"


def dockerfiles() -> Path:
    """Return the folder of the images' recipes."""
    installed = PACKAGE / "images"
    return installed if installed.is_dir() else PACKAGE.parent / "images"
