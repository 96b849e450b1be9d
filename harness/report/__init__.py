"""What is said of histories and verdicts: consumers of them, nothing else. The suffix of a file chooses its kind."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.report.result import Result

KINDS = {
    ".json": "document",
    ".xml": "junit",
    ".txt": "text",
    ".html": "page",
    ".svg": "badge",
    ".md": "summary",
}
"""The module that renders each kind of file."""


class BadReport(ValueError):
    """A file that no report can be written to, and what to write instead."""


def check(path: Path) -> None:
    """Make sure, before the run, that a report can be written to a file.

    Raises:
        BadReport: its suffix stands for no kind of report, its folder is not there, or nothing can be written to it.
    """
    if path.suffix not in KINDS:
        raise BadReport(f"--report {path}: the suffix chooses the kind, one of {', '.join(KINDS)}")
    if not path.parent.is_dir():
        raise BadReport(f"--report {path}: there is no folder {path.parent}")
    if path.exists() and not path.is_file():
        raise BadReport(f"--report {path}: that is no file")
    new = not path.exists()
    try:
        # Whoever asks what may be written is told yes in /proc, and as root nearly everywhere.
        path.open("ab").close()
    except OSError as error:
        raise BadReport(f"--report {path}: it can't be written: {error.strerror}") from None
    if new:
        Path(os.path.realpath(path)).unlink()


def render(kind: str, result: Result) -> str:
    """Return a report of a kind, which is named by its suffix."""
    module: Callable[[Result], str] = import_module(f"harness.report.{KINDS[kind]}").render
    return module(result)


def write(path: Path, result: Result) -> None:
    """Write a report.

    Raises:
        BadReport: as `check` says.
        OSError: the file can't be written.
    """
    check(path)
    path.write_text(render(path.suffix, result), encoding="utf-8")
