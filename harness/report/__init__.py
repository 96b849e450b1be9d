"""Reports of a run in several formats, made from histories and verdicts. The suffix of the file selects the format."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.report.result import RunResult

KINDS = {
    ".json": "document",
    ".xml": "junit",
    ".txt": "text",
    ".html": "page",
    ".svg": "badge",
    ".md": "summary",
}
"""The module that renders each format."""


class BadReport(ValueError):
    """A report can't be written to a file; the message says why."""


def check(path: Path) -> None:
    """Check that a report can be written to a file, before the run.

    Raises:
        BadReport: the suffix is unknown, the folder does not exist, or the file is not writable.
    """
    if path.suffix not in KINDS:
        raise BadReport(f"--report {path}: the suffix must be one of {', '.join(KINDS)}")
    if not path.parent.is_dir():
        raise BadReport(f"--report {path}: the folder {path.parent} does not exist")
    if path.exists() and not path.is_file():
        raise BadReport(f"--report {path}: it exists and is not a regular file")
    new = not path.exists()
    try:
        # Opening is the only reliable test: os.access reports True in /proc, and as root nearly everywhere.
        path.open("ab").close()
    except OSError as error:
        raise BadReport(f"--report {path}: it is not writable: {error.strerror}") from None
    if new:
        Path(os.path.realpath(path)).unlink()


def render(kind: str, result: RunResult) -> str:
    """Return a report in the format with that suffix."""
    render_format: Callable[[RunResult], str] = import_module(f"harness.report.{KINDS[kind]}").render
    return render_format(result)


def write(path: Path, result: RunResult) -> None:
    """Write a report.

    Raises:
        BadReport: `check` rejects the file.
        OSError: the file can't be written.
    """
    check(path)
    path.write_text(render(path.suffix, result), encoding="utf-8")
