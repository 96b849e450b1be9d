"""Live progress on a terminal: a bar for each part of the work, the last problems, and a line of counts.

It is drawn on standard error with rich, which obeys NO_COLOR. Commands feed it; it knows nothing of their work.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from rich.console import Console, RenderableType
    from rich.live import Live

T = TypeVar("T")

RATE_WINDOW_SECONDS = 60.0
BAR_WIDTH = 20
SHOWN_PROBLEMS = 3
REFRESHES_PER_SECOND = 4
KILO, MEGA, GIGA = 10**3, 10**6, 10**9


@dataclass(frozen=True, slots=True)
class Show:
    """What the user wants to see: `quiet` only errors, `verbose` the log instead of progress."""

    quiet: bool = False
    verbose: bool = False

    def is_live(self, *, has_log_format: bool) -> bool:
        """Return whether progress is shown: on a terminal, unless a log format asks for the log."""
        return not (self.quiet or self.verbose or has_log_format) and is_terminal()


def is_terminal() -> bool:
    """Return whether standard error is a terminal that can move its cursor."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@dataclass(slots=True)
class Bar:
    """One part of the work; `done` and `total` are in `unit`. `samples` are times and what was done then."""

    unit: str
    total: float = 0
    done: float = 0
    rows: int = 0
    size_bytes: int = 0
    samples: deque[tuple[float, float]] = field(default_factory=deque)

    def sample(self, now: float) -> None:
        """Remember what is done now, for the rate."""
        self.samples.append((now, self.done))
        while len(self.samples) > 2 and now - self.samples[0][0] > RATE_WINDOW_SECONDS:  # noqa: PLR2004 - a rate needs two
            self.samples.popleft()

    def rate(self, now: float) -> float:
        """Return how much was done per second in the last minute."""
        if not self.samples or now <= self.samples[0][0]:
            return 0.0
        return max(0.0, (self.done - self.samples[0][1]) / (now - self.samples[0][0]))


class Screen:
    """The progress of one command, drawn until the `with` block ends; then it disappears."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        from rich.console import Console as RichConsole  # noqa: PLC0415 - only for a terminal

        self.console = RichConsole(stderr=True) if console is None else console
        self.clock = clock
        self.bars: dict[str, Bar] = {}
        self.counts = ""
        self.calls = Bar("calls")
        self.problems: deque[str] = deque(maxlen=SHOWN_PROBLEMS)
        self._live: Live | None = None

    def __enter__(self) -> Self:
        from rich.live import Live as RichLive  # noqa: PLC0415 - only for a terminal

        self._live = RichLive(
            console=self.console,
            get_renderable=self.render,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()
        # A second signal ends the process at once, and must not leave the terminal without a cursor.
        self.console.show_cursor()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def update(
        self, name: str, unit: str, *, done: float, total: float, rows: int | None = None, size_bytes: int | None = None
    ) -> None:
        """Set how far one part of the work is; rows and bytes are kept if they are not given."""
        bar = self.bars.setdefault(name, Bar(unit))
        bar.unit, bar.done, bar.total = unit, done, total
        bar.rows = bar.rows if rows is None else rows
        bar.size_bytes = bar.size_bytes if size_bytes is None else size_bytes
        bar.sample(self.clock())

    def show_traffic(self, totals: Mapping[str, int], *, more: str = "") -> None:
        """Show the RPC calls so far, from `RpcMeter.totals`, after `more`."""
        now = self.clock()
        self.calls.done = totals["calls"]
        self.calls.sample(now)
        parts = [more] if more else []
        if self.calls.done:
            parts += [f"{totals['calls']:,} calls", f"{short(self.calls.rate(now))}/s"]
            parts.append(f"{totals['retried_calls']:,} retried")
        self.counts = ", ".join(parts)

    def problem(self, text: str) -> None:
        """Show a problem; only the last ones stay."""
        self.problems.append(text)

    def print(self, text: str) -> None:
        """Print a line after the progress, without markup."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def render(self) -> RenderableType:
        """Return what is drawn now."""
        from rich.console import Group  # noqa: PLC0415 - only for a terminal
        from rich.progress_bar import ProgressBar  # noqa: PLC0415 - as above
        from rich.table import Table  # noqa: PLC0415 - as above
        from rich.text import Text  # noqa: PLC0415 - as above

        table, now = Table.grid(padding=(0, 2, 0, 0)), self.clock()
        for name, bar in list(self.bars.items()):
            shown = ProgressBar(total=bar.total or None, completed=bar.done, width=BAR_WIDTH)
            table.add_row(Text(name, style="bold"), shown, *(Text(cell) for cell in cells(bar, now)))
        lines = [Text(text, style="yellow", no_wrap=True, overflow="ellipsis") for text in self.problems]
        counts = [Text(self.counts, style="dim", no_wrap=True, overflow="ellipsis")] if self.counts else []
        return Group(table, *counts, *lines)


def traffic(totals: Mapping[str, int]) -> str:
    """Return the RPC calls of a summary, from `RpcMeter.totals`; empty without any."""
    return f"{totals['calls']:,} calls, {totals['retried_calls']:,} retried" if totals["calls"] else ""


async def refresh_while(work: Awaitable[T], tick: Callable[[], None]) -> T:
    """Await work and call `tick` at each refresh, and once more at the end."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=1 / REFRESHES_PER_SECOND))[0]:
            tick()
        tick()
        return task.result()
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise


def cells(bar: Bar, now: float) -> list[str]:
    """Return a bar's numbers: done of all, rows, bytes, rate and remaining time."""
    rate = bar.rate(now)
    left = "" if not rate or bar.done >= bar.total else duration((bar.total - bar.done) / rate)
    return [
        f"{bar.done:,.0f}/{bar.total:,.0f} {bar.unit}",
        f"{short(bar.rows)} rows" if bar.rows else "",
        f"{short(bar.size_bytes)}B" if bar.size_bytes else "",
        f"{short(rate)}/s" if rate else "",
        left,
    ]


def short(number: float) -> str:
    """Return a number in at most five characters: 950, 1.2k, 34M."""
    for factor, suffix in ((GIGA, "G"), (MEGA, "M"), (KILO, "k")):
        if number >= factor:
            value = number / factor
            return f"{value:.1f}{suffix}" if value < 10 else f"{value:.0f}{suffix}"  # noqa: PLR2004 - two digits
    return f"{number:.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"  # noqa: PLR2004 - as above


def duration(seconds: float) -> str:
    """Return a time as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
