"""Runs cells at the same time, within a budget."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from harness.explore.cells import Cell
from harness.explore.judge import Judged, Status

RunOne = Callable[[Cell], Judged]
Report = Callable[[Judged], None]


@dataclass(frozen=True, slots=True)
class Budget:
    """How many cells run at most, and for how many seconds new ones start; None means no limit."""

    runs: int | None = None
    seconds: float | None = None


def run_all(  # noqa: PLR0913 - each is a part of the environment
    cells: Sequence[Cell],
    run_one: RunOne,
    *,
    jobs: int,
    budget: Budget,
    stop: threading.Event,
    report: Report,
    clock: Callable[[], float] = time.monotonic,
) -> list[Judged]:
    """Run cells in their order, `jobs` at once, until the budget is spent, and return what ran, in that order.

    A cell that has started runs to its end.
    """
    chosen = cells[: budget.runs]
    began_at = clock()
    lock = threading.Lock()

    def run_in_time(cell: Cell) -> Judged | None:
        spent = budget.seconds is not None and clock() - began_at >= budget.seconds
        if spent or stop.is_set():
            return None
        try:
            judged = run_one(cell)
        except Exception as error:  # noqa: BLE001 - the other cells must still run
            if stop.is_set():
                return None
            judged = Judged(cell, Status.ERROR, (f"the harness failed: {type(error).__name__}: {error}",))
        with lock:
            report(judged)
        return judged

    with ThreadPoolExecutor(jobs) as pool:
        return [judged for judged in pool.map(run_in_time, chosen) if judged is not None]
