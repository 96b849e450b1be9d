"""One line on a terminal that shows how far a campaign is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.simulate.campaign import Campaign


@dataclass(frozen=True, slots=True)
class Progress:
    """Writes the counts of a campaign to a terminal, over those before; to anything else it writes nothing.

    `clock` returns seconds, such as `time.monotonic`; `started` is its value at the start of the campaign.
    """

    stream: TextIO
    clock: Callable[[], float]
    started: float

    def show(self, campaign: Campaign) -> None:
        """Show how many cells and runs there were so far, and how many of them had problems."""
        if not self.stream.isatty():
            return
        seconds = self.clock() - self.started
        rate = campaign.runs / seconds if seconds > 0 else 0
        self.stream.write(
            f"\r{len(campaign.exercised)} faults of operations, {campaign.runs} runs, {rate:.0f} a second, "
            f"{campaign.virtual_seconds / 3600:.1f} virtual hours, {len(campaign.failed)} with problems\x1b[K"
        )
        self.stream.flush()

    def end(self) -> None:
        """End the line."""
        if self.stream.isatty():
            self.stream.write("\n")
