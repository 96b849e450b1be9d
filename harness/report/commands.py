"""`cryo-harness run`, `list` and `judge`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from harness import history, targets
from harness.checks.verdict import Judged, good, judge, verdicts
from harness.report import text
from harness.runner.run import run
from harness.scenario import BadScenario, Scenario, find
from harness.stores.backends import Backends, BadStore, backends
from harness.targets import BadTarget, Target

FAILED, USAGE, INTERRUPTED = 1, 64, 130


@contextmanager
def told() -> Iterator[None]:
    """Turn what a user can mend into one line and exit code 64."""
    try:
        yield
    except (BadScenario, BadTarget, BadStore, history.BadHistory, OSError) as error:
        typer.echo(f"cryo-harness: {error}", err=True)
        raise typer.Exit(USAGE) from None


def run_command(
    names: Annotated[list[str] | None, typer.Argument(metavar="[SCENARIO]…", help="Names, files or clauses.")] = None,
    target: Annotated[str, typer.Option(help="cmd:COMMAND LINE, or reference.")] = targets.DEFAULT,
    store: Annotated[str, typer.Option(help="moto, minio, or the URL of an S3 server.")] = "moto",
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Scenarios at once.")] = 2 * (os.cpu_count() or 1),
    save: Annotated[Path | None, typer.Option(help="A folder for the histories.")] = None,
    bug: Annotated[str | None, typer.Option(help="Of the target `reference`: the bug that it is to have.")] = None,
) -> None:
    """Run scenarios and judge the worker clause by clause; exit code 0 only without FAIL and ERROR."""
    began = time.monotonic()
    with told():
        scenarios = find(names or ())
        chosen = targets.find(target, bug=bug)
        if save is not None:
            save.mkdir(parents=True, exist_ok=True)
    with told(), ExitStack() as stack:
        around = stack.enter_context(backends(store))
        stop = stack.enter_context(stopped_by_signals())
        with ThreadPoolExecutor(jobs) as pool:
            done = []
            longest_first = sorted(scenarios, key=lambda scenario: -scenario.patience_seconds)
            for one in pool.map(lambda scenario: attempt(scenario, chosen, around, save, stop), longest_first):
                if stop.is_set():
                    raise typer.Exit(INTERRUPTED)
                done.append(one)
                typer.echo(text.of_scenario(one))
    asked = None if not names else sorted({clause for scenario in scenarios for clause in scenario.clauses})
    typer.echo(text.of_clauses(verdicts(done, asked), done))
    typer.echo(f"{len(done)} scenarios in {time.monotonic() - began:.0f} s", err=True)
    sys.stdout.flush()
    raise typer.Exit(0 if good(done) else FAILED)


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set instead of ending the process, so that no worker outlives it."""
    stop = threading.Event()
    before = [signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield stop
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)


def attempt(scenario: Scenario, target: Target, around: Backends, save: Path | None, stop: threading.Event) -> Judged:
    """Run and judge one scenario; what the harness itself meets with is an error of the scenario."""
    if stop.is_set():
        return Judged(scenario.name)
    try:
        events: list[Any] = run(scenario, target, around, stop)
        if save is not None:
            history.save(events, save / f"{scenario.name}.jsonl")
        return judge(events)
    except Exception as error:  # noqa: BLE001 - one broken scenario must not hide what the others show
        return Judged(scenario.name, errors=(f"the harness failed: {type(error).__name__}: {error}",))


def judge_command(files: Annotated[list[Path], typer.Argument(help="Saved histories.")]) -> None:
    """Judge saved histories again; the verdicts are those of the live run."""
    with told():
        done = [judge(history.load(path)) for path in files]
    for one in done:
        typer.echo(text.of_scenario(one))
    typer.echo(text.of_clauses(verdicts(done, sorted({clause for one in done for clause in one.kept})), done))
    raise typer.Exit(0 if good(done) else FAILED)


def list_command() -> None:
    """List the scenarios with the clauses that each exercises."""
    with told():
        for scenario in find():
            typer.echo(f"{scenario.name:32} {', '.join(scenario.clauses):40} {scenario.title}")
