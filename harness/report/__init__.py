"""What is said of histories and verdicts: consumers of them, nothing else. The suffix of a file chooses its kind."""

from __future__ import annotations

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
        BadReport: its suffix stands for no kind of report, or its folder is not there.
    """
    if path.suffix not in KINDS:
        raise BadReport(f"--report {path}: the suffix chooses the kind, one of {', '.join(KINDS)}")
    if not path.parent.is_dir():
        raise BadReport(f"--report {path}: there is no folder {path.parent}")


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
