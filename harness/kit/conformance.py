"""`cryo-harness conformance`: a whole profile on any worker."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness import targets
from harness.containers.reaper import OWNER_LABEL, owner_label, remove_all_of
from harness.kit import known
from harness.kit.profile import Profile, plan
from harness.report.commands import INTERRUPTED, USAGE, Reports, attempt, attempt_all, check_all, finish, told
from harness.report.progress import Progress
from harness.report.result import of_histories
from harness.runner.stopping import stopped_by_signals
from harness.scenario import find
from harness.stores.backends import backends
from harness.targets import Target


def conformance_command(  # noqa: PLR0913, PLR0917 - each is an option of the command
    target: Annotated[str, typer.Option(help=targets.FORMS)],
    profile: Annotated[Profile, typer.Option(help="core, or hardened: core and what this project adds.")] = "hardened",
    store: Annotated[str, typer.Option(help="moto, minio, or the URL of an S3 server.")] = "moto",
    known_file: Annotated[
        Path | None, typer.Option("--known", metavar="FILE", help="Known failures: CLAUSE/SCENARIO # message.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Scenarios at once.")] = 2 * (os.cpu_count() or 1),
    save: Annotated[Path | None, typer.Option(help="A folder for the histories.")] = None,
    reports: Reports = None,
) -> None:
    """Judge a worker by all clauses of a profile; exit code 0 only without a new FAIL and without ERROR."""
    began, began_at = time.monotonic(), datetime.now(UTC)
    with told():
        chosen = targets.find(target)
        everything = find()
        planned = plan(chosen, profile, everything)
        listed = _listed(known_file, [one.name for one in everything])
        if save is not None:
            save.mkdir(parents=True, exist_ok=True)
        check_all(reports)
    console = Console()
    with told(), ExitStack() as stack:
        around = stack.enter_context(backends(store))
        stack.enter_context(containers_ended(chosen))
        stop = stack.enter_context(stopped_by_signals())
        seen = stack.enter_context(Progress(console, len(planned.scenarios)))
        done = attempt_all(
            planned.scenarios,
            lambda scenario: planned.counted(attempt(scenario, chosen, around, save, stop)),
            jobs=1 if chosen.staging_root else jobs,
            seen=seen,
        )
        if stop.is_set():
            raise typer.Exit(INTERRUPTED)
    failures, complaints = known.compare(listed, done)
    result = replace(
        of_histories(done),
        target=chosen.name,
        store=store,
        profile=profile,
        asked=planned.asked,
        excluded=planned.excluded,
        skipped=planned.skipped,
        known=failures,
        complaints=complaints,
        options=("--target", target, "--store", store),
        began_at=began_at,
        seconds=time.monotonic() - began,
    )
    finish(result, console, reports)


@contextmanager
def containers_ended(target: Target) -> Iterator[None]:
    """End the containers that a worker's image was run in and that are left."""
    try:
        yield
    finally:
        if target.in_container:
            remove_all_of(owner_label()[OWNER_LABEL])


def _listed(path: Path | None, scenarios: list[str]) -> dict[str, str]:
    try:
        return known.read(path, scenarios) if path is not None else {}
    except known.BadList as error:
        typer.echo(f"cryo-harness: {error}", err=True)
        raise typer.Exit(USAGE) from None
