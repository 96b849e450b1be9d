"""One run of fake Cryo, from the parsed command line to the exit code, in the same order as Cryo."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.fakes.cryo import summary
from harness.fakes.cryo.collect import Collection
from harness.fakes.cryo.faults import CryoFaults
from harness.fakes.cryo.plan import Plan, make_plan
from harness.fakes.cryo.report import Reports
from harness.fakes.cryo.source import connect
from harness.world.catalogue import datasets

if TYPE_CHECKING:
    from harness.fakes.cryo.arguments import Arguments


def run(arguments: Arguments, argv: list[str]) -> int:
    """Extract what the command line asks for and return the exit code: 1 if a chunk failed, else 0.

    Raises:
        CryoError: Cryo would print the message and end with exit code 1.
        EarlyExit: the fake does not model one of the arguments.
    """
    if arguments.datatype[:1] == ("help",):
        return _help(arguments.datatype[1:])
    source = connect(arguments, argv)
    faults = CryoFaults.of(source.script)
    faults.begin(source.url)
    plan = make_plan(arguments, source)
    started = datetime.now(tz=UTC).astimezone()
    reports = _reports(arguments, plan, started)
    if not arguments.no_verbose:
        shown = None if reports is None else str(reports.final_path).replace(str(plan.directory), "$OUTPUT_DIR", 1)
        print(summary.introduction(arguments, plan, source, shown), flush=True)  # noqa: T201 (as Cryo does)
    if arguments.dry:
        return 0
    if reports is not None:
        reports.begin()
    done = Collection(plan, source, faults, arguments).collect()
    if not arguments.no_verbose:
        ended = datetime.now(tz=UTC).astimezone()
        print(summary.conclusion(plan, done, started=started, ended=ended), flush=True)  # noqa: T201
    if reports is not None:
        reports.end(done.completed, [chunk for chunk, _ in done.errored], len(plan.skipped))
    return 1 if done.errored else 0


def _reports(arguments: Arguments, plan: Plan, started: datetime) -> Reports | None:
    """Return the reports of the run: None with `--no-report`, and if there is no chunk to extract."""
    if arguments.no_report or not plan.chunks:
        return None
    directory = Path(arguments.report_dir) if arguments.report_dir else plan.directory / ".cryo" / "reports"
    return Reports(directory, started, arguments)


def _help(topics: tuple[str, ...]) -> int:
    if topics == ("datasets",):
        print("cryo datasets\n─────────────")  # noqa: T201
        print("\n".join(f"- {name}" for name in datasets()))  # noqa: T201
    else:
        print("cryo extracts blockchain data to parquet, csv, or json\n\nUsage: cryo [OPTIONS] [DATATYPE]...")  # noqa: T201
    return 0
