"""What `cryo-ingest run` shows on a terminal, from the log events of its attempt."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryo_ingest.meter import RpcMeter
from cryo_ingest.screen import duration, short, traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cryo_ingest.screen import Screen

PHASES = {
    "endpoint.chosen": "starting Cryo",
    "cryo.started": "extracting",
    "cryo.ended": "proving",
    "range.proved": "publishing",
    "version.adopted": "already in the store",
    "version.published": "published",
}
QUIET_EVENTS = frozenset(("data.fake", "data.known_defect", "endpoint.no_finality"))
"""Warnings that each attempt repeats; the summary or the log has them."""


FAKE_DATA = "the data are fake: set TRACE_CRYO_MODE=real for the chain's own data"
"""The last line but one of a summary in fake mode."""
PROGRESS_SECONDS = 1.0
"""How often the progress of each Cryo is logged if a screen shows it."""


def is_problem(event: Mapping[str, Any]) -> bool:
    """Return whether a screen shows an event among the last problems."""
    return event["level"] in {"warning", "error", "critical"} and event["event"] not in QUIET_EVENTS


def describe_problem(event: Mapping[str, Any]) -> str:
    """Return one line for a warning or an error."""
    where = " ".join(str(event[name]) for name in ("dataset", "range") if name in event)
    what = ": ".join(str(event[name]) for name in ("error", "message", "reason") if name in event)
    return ": ".join(part for part in (where, str(event["event"]), what) if part)


@dataclass(slots=True)
class AttemptProgress:
    """The progress of one attempt; `totals` returns the counts of its RPC traffic."""

    screen: Screen
    totals: Callable[[], dict[str, int]] = RpcMeter().totals
    clock: Callable[[], float] = time.monotonic
    phase: str = "starting"
    started: float = 0.0
    last: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.started = self.clock()

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Handle a log event."""
        name = event["event"]
        self.phase = PHASES.get(name, self.phase)
        self.last[name] = dict(event)
        if is_problem(event):
            self.screen.problem(describe_problem(event))
        if "dataset" not in event:
            return
        first, _, end = event["range"].partition(":")
        total = int(end) - int(first)
        if name == "cryo.started":
            self._update(event, total, 0)
        elif name in {"cryo.progress", "cryo.ended"} and event["chunks"]:
            self._update(event, total, total * event["chunks_done"] / event["chunks"])
        elif name in {"range.proved", "version.adopted"}:
            self._update(event, total, total)

    def tick(self) -> None:
        """Show the traffic so far."""
        self.screen.show_traffic(self.totals(), more=self.phase)

    def print_summary(self, log_file: Path) -> None:
        """Print what was done, or why it failed, and where the log is."""
        seconds = duration(self.clock() - self.started)
        proved, calls = self.last.get("range.proved"), traffic(self.totals())
        calls = f", {calls}" if calls else ""
        failed = self.last.get("attempt.failed")
        if failed is not None:
            self.screen.print(f"failed after {seconds}{calls}: {failed['error']}: {failed['message']}")
        elif "attempt.crashed" in self.last:
            self.screen.print(f"crashed after {seconds}{calls}: a bug of the worker; the log has its traceback")
        elif "version.published" not in self.last:
            self.screen.print(f"stopped after {seconds}{calls}")
        elif proved is None:
            self.screen.print(f"was already in the store and was proved again in {seconds}{calls}")
        else:
            written = f"{proved['rows']:,} rows, {short(proved['bytes'])}B in {proved['files']} files"
            self.screen.print(f"published {written}, level {proved['evidence']}, in {seconds}{calls}")
        if "data.fake" in self.last:
            self.screen.print(FAKE_DATA)
        self.screen.print(f"log: {log_file}")

    def _update(self, event: Mapping[str, Any], total: int, done: float) -> None:
        self.screen.update(
            event["dataset"], "blocks", done=done, total=total, rows=event.get("rows"), size_bytes=event.get("bytes")
        )
