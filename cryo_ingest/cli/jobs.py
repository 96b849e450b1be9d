"""The commands of jobs: `plan`, `sync`, `status`, `pause` and `resume`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cryo_ingest.cli.common import QuietOption, StoreOption, VerboseOption, open_store_of, print_error
from cryo_ingest.errors import RetryableError
from cryo_ingest.screen import Show
from cryo_ingest.settings import check_mode_is_chosen

if TYPE_CHECKING:
    from cryo_ingest.ports import ObjectStore
    from cryo_ingest.settings import Settings
    from cryo_ingest.sync.plan_command import PlanRequest
    from cryo_ingest.sync.settings import SyncSettings

NEEDS_END = "is required for a job that follows the head: `plan` asks no node"
SAMPLE = "Extract and prove a few blocks at some heights, and estimate the rows and bytes of the rest."
ONCE = "End when nothing more can be planned, as a job with a fixed target always does."
JobFile = Annotated[Path, typer.Argument(metavar="JOB.yaml", help="The job's file.")]
OrgOption = Annotated[
    str | None,
    typer.Option(
        "--org", metavar="ID", help="The organization, a part of dataset ids. [default: $TRACE_ORG_ID, or local]"
    ),
]

StateOption = Annotated[
    Path | None, typer.Option("--state", metavar="DIR", help="Where the job's state is. [default: beside the data]")
]


def plan(  # noqa: PLR0913, PLR0917 - typer's form
    job_file: JobFile,
    store: StoreOption = None,
    org: OrgOption = None,
    to_block: Annotated[
        int | None, typer.Option("--to", min=1, help="The end of the plan, exclusive; for a job that follows the head.")
    ] = None,
    as_tasks: Annotated[bool, typer.Option("--tasks", help="Print the tasks' payloads as JSON lines.")] = False,  # noqa: FBT002 - typer's form
    sample: Annotated[bool, typer.Option("--sample", help=SAMPLE)] = False,  # noqa: FBT002 - as above
    prices: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A YAML file with the credits of a call, by method.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002 - as above
    quiet: QuietOption = False,  # noqa: FBT002 - as above
    verbose: VerboseOption = False,  # noqa: FBT002 - as above
) -> None:
    """Compare a job with what is published: what is missing, in how many tasks, and the calls that they will cost.

    It writes nothing to the store and, without --sample, asks no node. The calls are those at the level in
    TRACE_COVERAGE [default: chain].
    Exit codes: 0 planned, 64 usage, 65 bad job file or prices, 69 and 75 the store or a sample failed, 78 bad
    configuration.
    """
    if as_tasks and (as_json or sample or prices):
        raise typer.BadParameter("can't be combined with --json, --sample or --prices", param_hint="--tasks")
    if sample:
        check_mode_is_chosen(os.environ)
    job = _Job.open(job_file, store=store, org=org, to_block=to_block)
    if job.follows and to_block is None:
        raise typer.BadParameter(NEEDS_END, param_hint="--to")

    from cryo_ingest.sync.plan_command import PlanOptions  # noqa: PLC0415 - slow to import
    from cryo_ingest.sync.plan_command import plan as print_plan  # noqa: PLC0415 - as above
    from cryo_ingest.sync.prices import read_prices  # noqa: PLC0415 - as above

    form: Literal["tasks", "json", "tables"] = "tasks" if as_tasks else "json" if as_json else "tables"
    table = None if prices is None else read_prices(prices)
    options = PlanOptions(form, sample, table, Show(quiet, verbose))
    raise typer.Exit(print_plan(job.request, settings=job.settings, store=job.store, options=options))


def sync(  # noqa: PLR0913, PLR0917 - typer's form
    job_file: JobFile,
    store: StoreOption = None,
    org: OrgOption = None,
    state: StateOption = None,
    engine: Annotated[Literal["embedded"], typer.Option(help="What runs the tasks.")] = "embedded",
    once: Annotated[bool, typer.Option("--once", help=ONCE)] = False,  # noqa: FBT002 - typer's form
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,  # noqa: FBT002 - typer's form
    quiet: QuietOption = False,  # noqa: FBT002 - typer's form
    verbose: VerboseOption = False,  # noqa: FBT002 - as above
) -> None:
    """Publish all missing ranges of a job in this process, up to TRACE_WORKER_CONCURRENCY at once.

    A job that follows the head goes on until it is stopped. It can be stopped at any moment, even by SIGKILL, and
    started again. The first SIGTERM or SIGINT lets running attempts end, the second ends the process at once.
    Exit codes: 0 all is published, 1 some ranges were set aside, 64 usage, 65 bad job file, 69 and 75 the store failed
    or another sync runs the job, 78 bad configuration, 130/143 stopped by a signal.
    """
    del engine  # the only one so far
    check_mode_is_chosen(os.environ)
    job = _Job.open(job_file, store=store, org=org)
    directory = job.state_directory(state)

    from cryo_ingest.publish.stores import check_writable  # noqa: PLC0415 - slow to import
    from cryo_ingest.sync.sync_command import AlreadyRunning, SyncRequest  # noqa: PLC0415 - as above
    from cryo_ingest.sync.sync_command import sync as run_sync  # noqa: PLC0415 - as above

    check_writable(job.store)
    request = SyncRequest(job.request, directory, job.sync.concurrency, as_json, once, Show(quiet, verbose))
    try:
        raise typer.Exit(run_sync(request, settings=job.settings, store=job.store))
    except AlreadyRunning:
        print_error("another process runs this job; `cryo-ingest status` shows it")
        raise typer.Exit(RetryableError.exit_code) from None


def status(
    job_file: JobFile,
    store: StoreOption = None,
    org: OrgOption = None,
    state: StateOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Print it every 2 s until SIGINT.")] = False,  # noqa: FBT002 - typer's form
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,  # noqa: FBT002 - as above
) -> None:
    """Show how far a job is: also of a running sync, and of one that was killed.

    Exit codes: 0 shown, 64 usage, 65 bad job file, 69 and 75 the store failed, 78 bad configuration.
    """
    job = _Job.open(job_file, store=store, org=org)
    directory = job.state_directory(state)

    from cryo_ingest.sync.status_command import status as show  # noqa: PLC0415 - slow to import

    done = show(job.request, directory, settings=job.settings, store=job.store, as_json=as_json, watch=watch)
    raise typer.Exit(done)


def pause(job_file: JobFile, store: StoreOption = None, org: OrgOption = None, state: StateOption = None) -> None:
    """Start no new attempts of a job until `resume`; attempts that run end normally."""
    _set_paused(_Job.open(job_file, store=store, org=org), state, paused=True)


def resume(job_file: JobFile, store: StoreOption = None, org: OrgOption = None, state: StateOption = None) -> None:
    """Let a paused job continue; a sync that waits goes on within a second."""
    _set_paused(_Job.open(job_file, store=store, org=org), state, paused=False)


def _set_paused(job: _Job, state: Path | None, *, paused: bool) -> None:
    directory = job.state_directory(state)

    from cryo_ingest.sync.status_command import set_paused  # noqa: PLC0415 - slow to import

    raise typer.Exit(set_paused(directory, paused=paused))


@dataclass(frozen=True, slots=True)
class _Job:
    """What all commands of a job read first: the file, the environment and the store."""

    request: PlanRequest
    settings: Settings
    sync: SyncSettings
    store: ObjectStore

    @classmethod
    def open(cls, job_file: Path, *, store: str | None, org: str | None, to_block: int | None = None) -> _Job:
        """Read a job; one that follows the head has no blocks to plan without `to_block`."""
        from cryo_ingest.sync.job import FollowHead  # noqa: PLC0415 - only the commands of jobs need it
        from cryo_ingest.sync.job_file import read_job  # noqa: PLC0415 - as above
        from cryo_ingest.sync.plan_command import PlanRequest  # noqa: PLC0415 - as above
        from cryo_ingest.sync.settings import sync_from_environment  # noqa: PLC0415 - as above

        settings, sync_settings = sync_from_environment(os.environ)
        job = read_job(job_file)
        if isinstance(job.mode, FollowHead):
            end = job.from_block if to_block is None else to_block
        elif to_block is not None:
            raise typer.BadParameter("is only for a job that follows the head; the job has to_block", param_hint="--to")
        else:
            end = job.mode.to_block
        if to_block is not None and end <= job.from_block:
            raise typer.BadParameter("must be greater than the job's from_block", param_hint="--to")
        request = PlanRequest(job, org or sync_settings.org_id, (job.from_block, end))
        return cls(request, settings, sync_settings, open_store_of(store, settings))

    @property
    def follows(self) -> bool:
        """Whether the job follows the head."""
        from cryo_ingest.sync.job import FollowHead  # noqa: PLC0415 - only the commands of jobs need it

        return isinstance(self.request.job.mode, FollowHead)

    def state_directory(self, given: Path | None) -> Path:
        """Return the directory of `--state`, or the default one."""
        from cryo_ingest.sync.sync_command import state_directory  # noqa: PLC0415 - slow to import

        if given is not None:
            return given
        job, org_id = self.request.job, self.request.org_id
        try:
            return state_directory(job, org_id=org_id, store=self.store, environment=os.environ)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--state") from None
