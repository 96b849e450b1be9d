"""Cryo's run reports: `incomplete_<time>.json` at the start, replaced by `<time>.json` at the end."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from harness.fakes.cryo.arguments import Arguments
    from harness.fakes.cryo.plan import Chunk

VERSION = "0.3.2"


@dataclass(frozen=True, slots=True)
class Reports:
    """The two report files of one run."""

    directory: Path
    started: datetime
    arguments: Arguments

    @property
    def final_path(self) -> Path:
        """The final report, named after the local time of the start."""
        return self.directory / f"{self.started:%Y-%m-%d_%H-%M-%S.%f}.json"

    @property
    def incomplete_path(self) -> Path:
        """The report that exists during the run, and remains if the run is killed."""
        return self.directory / f"incomplete_{self.final_path.name}"

    def begin(self) -> None:
        """Write the incomplete report."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.incomplete_path.write_text(self._render(None), encoding="utf-8")

    def end(self, completed: Sequence[Chunk], errored: Sequence[Chunk], skipped: int) -> None:
        """Write the final report and delete the incomplete one."""
        results = {
            "completed_paths": [str(chunk.path) for chunk in completed],
            "errored_paths": [str(chunk.path) for chunk in errored],
            "n_skipped": skipped,
        }
        self.final_path.write_text(self._render(results), encoding="utf-8")
        self.incomplete_path.unlink()

    def _render(self, results: object) -> str:
        report = {
            "cryo_version": VERSION,
            "cli_command": sys.argv,
            "results": results,
            "args": json.dumps(self.arguments.as_reported(), separators=(",", ":")),
        }
        return json.dumps(report, separators=(",", ":"))
