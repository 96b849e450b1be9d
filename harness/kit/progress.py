"""The progress of a run: on a terminal the running scenarios below the finished ones, elsewhere plain lines."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from harness.report.result import ScenarioResult
from harness.report.text import scenario_line


class Progress:
    """Shows when scenarios start and end; its methods may be called from any thread."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total = console, total
        self._lock = threading.Lock()
        self._running: dict[str, Spinner] = {}
        self._ended = 0
        self._live = Live(get_renderable=self._render, console=console, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def start(self, name: str) -> None:
        """Show a scenario as running."""
        with self._lock:
            self._running[name] = Spinner("dots", text=name)

    def end(self, ran: ScenarioResult) -> None:
        """Show the result of a scenario."""
        with self._lock:
            self._running.pop(ran.name, None)
            self._ended += 1
        self._console.print(scenario_line(ran), soft_wrap=True, highlight=False)

    def _render(self) -> RenderableType:
        with self._lock:
            return Group(*self._running.values(), Text(f"{self._ended} of {self._total} scenarios", style="dim"))
