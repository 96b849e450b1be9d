"""What `cryo-ingest sync` shows on a terminal: a bar for each stream, from its state and the log events."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryo_ingest.run_progress import FAKE_DATA, describe_problem, is_problem
from cryo_ingest.screen import duration, short, traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cryo_ingest.screen import Screen
    from cryo_ingest.sync.state import State


@dataclass(slots=True)
class SyncProgress:
    """The progress of one sync; `totals` returns the counts of its RPC traffic.

    A stream's bar has its published blocks, and those of running attempts whose files are there already.
    """

    screen: Screen
    state: State
    totals: Callable[[], dict[str, int]]
    clock: Callable[[], float] = time.monotonic
    started: float = 0.0
    fake: bool = False
    files: dict[tuple[str, int], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.started = self.clock()

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Handle a log event: remember how much of an attempt is done, and show problems."""
        name = event["event"]
        self.fake = self.fake or name == "data.fake"
        if is_problem(event):
            self.screen.problem(describe_problem(event))
        if name in {"cryo.progress", "cryo.ended"} and event["chunks"]:
            self.files[event["task_id"], event["attempt"]] = event["chunks_done"] / event["chunks"]

    def tick(self) -> None:
        """Show the state."""
        partly: dict[str, float] = defaultdict(float)
        attempts: dict[str, int] = defaultdict(int)
        running = self.state.running()
        self.files = {key: self.files.get(key, 0.0) for key in ((each.task_id, each.attempt) for each in running)}
        for each in running:
            attempts[each.stream] += 1
            partly[each.stream] += self.files[each.task_id, each.attempt] * (each.blocks[1] - each.blocks[0])
        for key, progress in self.state.progress().items():
            done = progress.blocks - progress.missing_blocks + partly[key]
            self.screen.update(
                key, "blocks", done=done, total=progress.blocks, rows=progress.rows, size_bytes=progress.size_bytes
            )
        heads = [f"head of {each.pool} {each.head:,}" for each in self.state.heads().values() if each.head is not None]
        failures = self.state.failures()
        aside = sum(each.set_aside for each in failures)
        parts = [*heads, f"{len(running)} running", f"{len(failures) - aside} to be tried again", f"{aside} set aside"]
        if self.state.paused:
            parts.insert(0, "paused")
        self.screen.show_traffic(self.totals(), more=", ".join(parts))

    def print_summary(self, log_file: Path) -> None:
        """Print the time, what was written, the traffic, and where the log is."""
        written, calls = self.state.progress().values(), traffic(self.totals())
        rows, size = sum(each.rows for each in written), sum(each.size_bytes for each in written)
        written_in = f"{short(rows)} rows, {short(size)}B in {duration(self.clock() - self.started)}"
        self.screen.print("; ".join(filter(None, (written_in, calls))))
        if self.fake:
            self.screen.print(FAKE_DATA)
        self.screen.print(f"log: {log_file}")
