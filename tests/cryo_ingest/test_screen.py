"""What is drawn on a terminal: bars, rates, counts, problems and summaries."""

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cryo_ingest.run_progress import AttemptProgress
from cryo_ingest.screen import Bar, Screen, Show, duration, refresh_while, short
from cryo_ingest.sync.progress import SyncProgress
from cryo_ingest.sync.state import HeadRecord, Progress, RangeFailure, RunningAttempt, State

TOTALS = {"calls": 1200, "retried_calls": 3, "hedged_calls": 0, "rate_limited_requests": 0}


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def make_screen(clock: Clock) -> Screen:
    """Return a screen that draws into a text of 100 columns."""
    return Screen(Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None), clock)


def drawn(screen: Screen) -> list[str]:
    """Return what is drawn now, without trailing blanks."""
    with screen.console.capture() as capture:
        screen.console.print(screen.render())
    return [line.rstrip() for line in capture.get().splitlines()]


def printed(screen: Screen) -> list[str]:
    file = screen.console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue().splitlines()


def test_a_bar_has_its_numbers_its_rate_and_the_time_that_is_left():
    """Rows and bytes appear when there are any; the rate is that of the last minute."""
    clock = Clock()
    screen = make_screen(clock)
    screen.update("blocks", "blocks", done=0, total=4000)
    assert drawn(screen)[0].split() == ["blocks", "0/4,000", "blocks"]
    clock.now += 10
    screen.update("blocks", "blocks", done=1000, total=4000, rows=1000, size_bytes=2_500_000)
    (line,) = drawn(screen)
    assert line.split(maxsplit=2)[2] == "1,000/4,000 blocks  1.0k rows  2.5MB  100/s  0:00:30"


def test_the_rate_forgets_what_was_done_long_ago():
    """A job that follows the head was fast at first."""
    bar = Bar("blocks")
    for now, done in ((0, 0), (10, 100_000), (100, 100_100), (160, 100_160)):
        bar.done = done
        bar.sample(now)
    assert bar.rate(160) == 1.0
    assert Bar("blocks").rate(5) == 0.0


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (0.54, "0.5"), (950, "950"), (1200, "1.2k"), (34_000_000, "34M"), (5e9, "5.0G")]
)
def test_numbers_are_short(number: float, text: str):
    """They must not move the columns."""
    assert short(number) == text


def test_times_have_hours():
    """A sync takes days."""
    assert (duration(59.6), duration(90_000)) == ("0:01:00", "25:00:00")


def test_only_the_last_problems_are_shown():
    """A screen has few lines; the log has all."""
    screen = make_screen(Clock())
    for number in range(5):
        screen.problem(f"problem [red]{number}")
    screen.show_traffic(TOTALS, more="extracting")
    assert drawn(screen)[-4:] == [
        "extracting, 1,200 calls, 0/s, 3 retried",
        *(f"problem [red]{number}" for number in (2, 3, 4)),
    ]


def test_progress_is_shown_only_on_a_terminal_and_unless_the_user_wants_the_log(monkeypatch: pytest.MonkeyPatch):
    """The standard error of a test is not a terminal."""
    assert not Show().is_live(has_log_format=False)
    monkeypatch.setenv("TERM", "dumb")
    assert not Show(quiet=True).is_live(has_log_format=False)


def test_work_is_awaited_and_its_error_is_raised():
    """The screen is refreshed once more at the end."""
    ticks: list[int] = []

    async def work(*, fails: bool) -> str:
        await asyncio.sleep(0)
        if fails:
            raise ZeroDivisionError
        return "done"

    assert asyncio.run(refresh_while(work(fails=False), lambda: ticks.append(1))) == "done"
    with pytest.raises(ZeroDivisionError):
        asyncio.run(refresh_while(work(fails=True), lambda: ticks.append(1)))
    assert len(ticks) == 2


def event(name: str, level: str = "info", **fields: Any) -> dict[str, Any]:
    base = {"event": name, "level": level, "task_id": "t", "attempt": 1, "dataset": "logs", "range": "1000:3000"}
    return base | fields


def test_an_attempt_is_shown_from_its_events():
    """The bar follows Cryo's files; the summary says what was published, at which level and at what cost."""
    clock = Clock()
    progress = AttemptProgress(make_screen(clock), lambda: TOTALS, clock)
    for each in (
        event("cryo.started"),
        event("cryo.progress", chunks_done=1, chunks=2, bytes=5000),
        event("endpoint.failing", "warning", reason="no answer in time"),
    ):
        progress.on_event(each)
    progress.tick()
    bar, counts, problem = drawn(progress.screen)
    assert "1,000/2,000 blocks" in bar
    assert counts == "extracting, 1,200 calls, 0/s, 3 retried"
    assert problem == "logs 1000:3000: endpoint.failing: no answer in time"
    clock.now += 5
    progress.on_event(event("range.proved", rows=7, bytes=9000, files=2, evidence="chain"))
    progress.on_event(event("version.published"))
    progress.print_summary(Path("/x/run.log"))
    assert printed(progress.screen) == [
        "published 7 rows, 9.0kB in 2 files, level chain, in 0:00:05, 1,200 calls, 3 retried",
        "log: /x/run.log",
    ]


@pytest.mark.parametrize(
    ("last", "summary"),
    [
        (
            event("attempt.failed", "error", error="DiskFull", message="no room"),
            "failed after 0:00:00: DiskFull: no room",
        ),
        (event("attempt.crashed", "error"), "crashed after 0:00:00: a bug of the worker; the log has its traceback"),
        (event("version.published"), "was already in the store and was proved again in 0:00:00"),
        (event("cryo.started"), "stopped after 0:00:00"),
    ],
)
def test_the_summary_says_how_the_attempt_ended(last: dict[str, Any], summary: str):
    """Without RPC traffic there is nothing to say about it."""
    progress = AttemptProgress(make_screen(Clock()), clock=Clock())
    progress.on_event(last)
    progress.print_summary(Path("/x/run.log"))
    assert printed(progress.screen)[0] == summary


def test_a_sync_has_a_bar_for_each_stream(tmp_path: Path):
    """Blocks of running attempts count as far as their files are there; failures and the head are in the counts."""
    state, clock = State(tmp_path), Clock()
    progress = SyncProgress(make_screen(clock), state, lambda: TOTALS, clock)
    state.set_progress(Progress("blocks", 10_000, 6000, 4000, 4000, 1_000_000, 0))
    state.set_progress(Progress("logs", 10_000, 10_000, 0, 0, 0, 0))
    state.started(RunningAttempt("t", 1, "logs", (0, 2000), 0))
    state.failed(RangeFailure("blocks", (4000, 6000), 1, 1, "DiskFull", "m", 0))
    state.set_head(HeadRecord("a", 12_345, None, 12_000, 0, None))
    progress.on_event(event("cryo.progress", chunks_done=1, chunks=2, bytes=5))
    progress.on_event(event("data.fake", "warning"))
    progress.on_event(event("sync.range_failed", "warning", error="DiskFull", message="no room"))
    progress.tick()
    blocks, logs, counts, problem = drawn(progress.screen)
    assert "4,000/10,000 blocks  4.0k rows  1.0MB" in blocks
    assert "1,000/10,000 blocks" in logs
    assert counts.startswith("head of a 12,345, 1 running, 1 to be tried again, 0 set aside, 1,200 calls")
    assert problem == "logs 1000:3000: sync.range_failed: DiskFull: no room"
    progress.print_summary(Path("/x/sync.log"))
    assert printed(progress.screen) == [
        "4.0k rows, 1.0MB in 0:00:00; 1,200 calls, 3 retried",
        "the data are fake: set TRACE_CRYO_MODE=real for the chain's own data",
        "log: /x/sync.log",
    ]
    state.close()
