"""What a sync prints at its end: each stream's blocks, what was set aside, and the exit code."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryo_ingest.tables import print_table

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterable, Sequence

    from cryo_ingest.sync.engine import Result, SetAside

INCOMPLETE_EXIT_CODE = 1


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """One stream's blocks, and the number of ranges that this sync has published or set aside."""

    stream: str
    blocks: int
    missing: int
    ranges_now: int
    set_aside: int

    @property
    def row(self) -> tuple[str, int, int, int, int, int]:
        """The values of `COLUMNS`."""
        return self.stream, self.blocks, self.blocks - self.missing, self.missing, self.ranges_now, self.set_aside


COLUMNS = ("stream", "blocks", "published", "missing", "ranges now", "set aside")


@dataclass(frozen=True, slots=True)
class Summary:
    """A sync's streams and the ranges that it has set aside.

    `problems` are other reasons why not all is published. A job that `follows` the head is never complete, so a signal
    is its normal end.
    """

    job: str
    streams: tuple[StreamSummary, ...]
    set_aside: tuple[SetAside, ...]
    problems: tuple[str, ...] = ()
    follows: bool = False

    @classmethod
    def of(
        cls,
        job: str,
        streams: Iterable[tuple[str, int, int]],
        results: Sequence[Result],
        *,
        problems: Iterable[str] = (),
        follows: bool = False,
    ) -> Summary:
        """Make the summary of an engine's runs; `streams` have their key, blocks and missing blocks."""
        set_aside = {(each.stream, each.blocks): each for result in results for each in result.set_aside}
        now = Counter(key for result in results for key, _ in result.published)
        aside = Counter(key for key, _ in set_aside)
        rows = tuple(StreamSummary(key, blocks, missing, now[key], aside[key]) for key, blocks, missing in streams)
        return cls(job, rows, tuple(set_aside.values()), tuple(problems), follows)

    @property
    def missing_blocks(self) -> int:
        """The number of blocks of all streams that are not published."""
        return sum(each.missing for each in self.streams)

    def exit_code(self, received: signal.Signals | None) -> int:
        """Return the process's exit code; `received` is the signal that ended the sync."""
        if received is not None and self.missing_blocks and not self.follows:
            return 128 + received
        is_incomplete = bool(self.set_aside or self.problems or (self.missing_blocks and received is None))
        return INCOMPLETE_EXIT_CODE if is_incomplete else 0

    def print(self, *, as_json: bool) -> None:
        """Print the streams on standard output, and what was set aside and other problems on standard error."""
        if as_json:
            names = [column.replace(" ", "_") for column in COLUMNS]
            streams = [dict(zip(names, each.row, strict=True)) for each in self.streams]
            sys.stdout.write(json.dumps({"job": self.job, "streams": streams}, indent=2) + "\n")
        else:
            print_table(self.job, COLUMNS, [each.row for each in self.streams])
        for aside in self.set_aside:
            where = f"{aside.stream} {aside.blocks[0]}:{aside.blocks[1]}"
            sys.stderr.write(f"{where} set aside: {aside.error}: {aside.message}\n")
        sys.stderr.write("".join(f"{problem}\n" for problem in self.problems))
