"""The command line of the worker: `run` and `worker` publish, `verify`, `gaps`, `catalog` and `plan` read."""

from __future__ import annotations

import os
import re
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cryo_ingest.errors import ConfigurationError, IngestError
from cryo_ingest.model import UUID_PATTERN, Assignment, check_pool_name, parse_task_text
from cryo_ingest.settings import MAX_PORT, from_environment
from cryo_ingest.streams import reopen_closed_streams, use_utf8

if TYPE_CHECKING:
    from cryo_ingest.ports import ObjectStore
    from cryo_ingest.settings import Settings

USAGE_EXIT_CODE = 64
"""sysexits.h EX_USAGE."""

TYPERS_USAGE_EXIT_CODE = 2

NO_STORE = "must be set if there is no --store"

StoreOption = Annotated[
    str | None, typer.Option("--store", help="s3://bucket or file:///directory. [default: s3://$S3_BUCKET]")
]
JobFile = Annotated[Path, typer.Argument(metavar="JOB.yaml", help="The job's file.")]
OrgOption = Annotated[
    str | None,
    typer.Option(
        "--org", metavar="ID", help="The organization, a part of dataset ids. [default: $TRACE_ORG_ID, or local]"
    ),
]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def root() -> None:
    """Extract a range of chain data with Cryo, prove that it is complete, and publish it once."""


@app.command()
def run(
    context: typer.Context,
    task: Annotated[str, typer.Argument(metavar="TASK.json", help="The payload's file, or - for standard input.")],
    store: StoreOption = None,
    task_id: Annotated[str | None, typer.Option(help="The task's UUID. [default: a fresh one]")] = None,
    attempt: Annotated[int, typer.Option(min=1, help="The number of this attempt.")] = 1,
) -> None:
    """Run one attempt without a dispatcher; the publication is one JSON line on standard output.

    Exit codes: 0 published, 64 usage, 65 bad payload, 69 fatal, 75 retryable, 78 bad configuration, 130/143 by signal.
    """
    if task_id is not None and not re.fullmatch(UUID_PATTERN, task_id):
        raise typer.BadParameter("must be a UUID", param_hint="--task-id")
    settings = from_environment(os.environ)
    if store is None and settings.s3.bucket is None:
        raise ConfigurationError({"S3_BUCKET": NO_STORE})
    if task == "-" and "stdin" in (context.obj or ()):
        raise typer.BadParameter("standard input is closed", param_hint="TASK.json")
    payload = parse_task_text(_read_task(task))
    assignment = Assignment((task_id or str(uuid.uuid4())).lower(), attempt, payload)

    opened = _open_store(store, settings)

    from cryo_ingest.run import run as run_one  # noqa: PLC0415 - slow to import, and not needed for usage errors

    raise typer.Exit(run_one(assignment, settings=settings, store=opened))


@app.command()
def worker() -> None:
    """Run tasks from the wake-up queue and the dispatcher until a signal; the environment configures both.

    The first SIGTERM or SIGINT drains within TRACE_SHUTDOWN_GRACE_SECONDS, the second ends the process at once.
    Exit codes: 0 drained, 78 bad configuration, 130/143 not drained in time.
    """
    from cryo_ingest.serve.settings import service_from_environment  # noqa: PLC0415 - only this command needs it

    settings, service = service_from_environment(os.environ)

    from cryo_ingest.serve.start import serve  # noqa: PLC0415 - slow to import, and not needed for a configuration error

    raise typer.Exit(serve(settings, service))


@app.command()
def verify(
    references: Annotated[
        list[str], typer.Argument(metavar="REF…", help="A version's s3:// or file:// prefix, or a publication's JSON.")
    ],
    against: Annotated[
        str | None, typer.Option(metavar="POOL", help="Compare with the nodes of this RPC pool too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002 - typer's form
) -> None:
    """Verify published versions from their stored files and, with --against, with a node.

    Exit codes: 0 all complete, 1 problems found, 64 usage, 69 and 75 the store or the node failed.
    """
    from cryo_ingest.audit.commands import verify_all  # noqa: PLC0415 - slow to import, and not needed for usage errors
    from cryo_ingest.audit.locations import BadReference, read_reference  # noqa: PLC0415 - as above

    try:
        locations = [read_reference(text) for text in references]
    except BadReference as error:
        raise typer.BadParameter(str(error), param_hint="REF") from None
    raise typer.Exit(verify_all(locations, settings=from_environment(os.environ), against=against, as_json=as_json))


@app.command()
def gaps(
    dataset: Annotated[str, typer.Argument(metavar="URL", help="s3://bucket/cryo/CHAIN/DATASET_UUID/, or file://.")],
    start: Annotated[int, typer.Option("--from", min=0, help="The first block.")],
    end: Annotated[int, typer.Option("--to", min=1, help="The block after the last one.")],
    like: Annotated[
        Path | None, typer.Option(help="A payload's file, for fields that a listing does not have.")
    ] = None,
) -> None:
    """Find missing, overlapping, unpublished, incomplete and duplicate ranges, from listings alone.

    Findings go to standard error. Tasks for the missing ranges go to standard output, as JSON lines.
    Exit codes: 0 no findings, 1 findings, 64 usage, 69 and 75 the store failed.
    """
    from cryo_ingest.audit.commands import gaps_in  # noqa: PLC0415 - slow to import, and not needed for usage errors
    from cryo_ingest.audit.locations import BadReference, read_dataset_reference  # noqa: PLC0415 - as above

    if end <= start:
        raise typer.BadParameter("must be greater than --from", param_hint="--to")
    try:
        url, prefix = read_dataset_reference(dataset)
    except BadReference as error:
        raise typer.BadParameter(str(error), param_hint="URL") from None
    settings = from_environment(os.environ)
    raise typer.Exit(gaps_in(url, prefix, blocks=(start, end), settings=settings, like=like))


@app.command()
def catalog(
    url: Annotated[
        str,
        typer.Argument(metavar="URL", help="s3://bucket or file:///directory; below it cryo/CHAIN/[DATASET_UUID/]."),
    ],
    sql: Annotated[
        Literal["duckdb", "polars"] | None, typer.Option(help="Print views: SQL for DuckDB, or a module for Polars.")
    ] = None,
    config_hash: Annotated[str | None, typer.Option(help="Only versions with this config_hash. [default: all]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002 - typer's form
) -> None:
    """List the published versions of a store, with rows and level of proof; or print views over exactly their files.

    Exit codes: 0 listed, 1 a manifest can't be used, 64 usage, 69 and 75 the store failed.
    """
    from cryo_ingest.audit.catalog_command import CatalogRequest  # noqa: PLC0415 - slow to import
    from cryo_ingest.audit.catalog_command import catalog as print_catalog  # noqa: PLC0415 - as above
    from cryo_ingest.audit.locations import BadReference, read_catalog_reference  # noqa: PLC0415 - as above

    if sql is not None and as_json:
        raise typer.BadParameter("can't be combined with --sql", param_hint="--json")
    settings = from_environment(os.environ)
    try:
        store, prefix = read_catalog_reference(url)
        _open_store(store, settings)
    except BadReference as error:
        raise typer.BadParameter(str(error), param_hint="URL") from None
    raise typer.Exit(print_catalog(CatalogRequest(store, prefix, config_hash, sql, as_json), settings=settings))


@app.command()
def gateway(
    pool: Annotated[str, typer.Option("--pool", metavar="NAME", help="The pool whose nodes are read.")],
    port: Annotated[int, typer.Option(min=0, max=MAX_PORT, help="The port on 127.0.0.1; 0 chooses a free one.")] = 0,
) -> None:
    """Run the gateway alone, in front of a pool, for plain Cryo or another reader; the first line printed is its URL.

    It runs until SIGTERM or SIGINT, and then logs its counters.
    Exit codes: 0 stopped, 64 usage, 69 the pool can't be used, 75 no node answers, 78 bad configuration.
    """
    try:
        check_pool_name(pool)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--pool") from None
    settings = from_environment(os.environ)

    from cryo_ingest.gateway_command import run_gateway  # noqa: PLC0415 - slow to import, and not needed for usage errors

    raise typer.Exit(run_gateway(pool, port=port, settings=settings))


@app.command()
def plan(
    job_file: JobFile,
    store: StoreOption = None,
    org: OrgOption = None,
    to_block: Annotated[
        int | None, typer.Option("--to", min=1, help="The end of the plan, exclusive; for a job that follows the head.")
    ] = None,
    as_tasks: Annotated[bool, typer.Option("--tasks", help="Print the tasks' payloads as JSON lines.")] = False,  # noqa: FBT002 - typer's form
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002 - as above
) -> None:
    """Compare a job with what is published: what is missing, in how many tasks, and the calls that they will cost.

    It writes nothing and asks no node. The calls are those at the level in TRACE_COVERAGE [default: chain].
    Exit codes: 0 planned, 64 usage, 65 bad job file, 69 and 75 the store failed, 78 bad configuration.
    """
    from cryo_ingest.sync.job import FollowHead  # noqa: PLC0415 - only the commands of jobs need it
    from cryo_ingest.sync.job_file import read_job  # noqa: PLC0415 - as above
    from cryo_ingest.sync.settings import sync_from_environment  # noqa: PLC0415 - as above

    settings, sync = sync_from_environment(os.environ)
    job = read_job(job_file)
    if isinstance(job.mode, FollowHead):
        if to_block is None:
            raise typer.BadParameter("is required for a job that follows the head", param_hint="--to")
        end = to_block
    elif to_block is not None:
        raise typer.BadParameter("is only for a job that follows the head; the job has to_block", param_hint="--to")
    else:
        end = job.mode.to_block
    if end <= job.from_block:
        raise typer.BadParameter("must be greater than the job's from_block", param_hint="--to")

    from cryo_ingest.sync.plan_command import PlanRequest  # noqa: PLC0415 - slow to import
    from cryo_ingest.sync.plan_command import plan as print_plan  # noqa: PLC0415 - as above

    request = PlanRequest(job, org or sync.org_id, (job.from_block, end))
    opened = _open_store(store, settings)
    raise typer.Exit(print_plan(request, settings=settings, store=opened, as_tasks=as_tasks, as_json=as_json))


def _open_store(url: str | None, settings: Settings) -> ObjectStore:
    """Open the store of `--store`, or the bucket in S3_BUCKET."""
    if url is None and settings.s3.bucket is None:
        raise ConfigurationError({"S3_BUCKET": NO_STORE})

    from cryo_ingest.publish.stores import open_store  # noqa: PLC0415 - slow to import, and not needed for usage errors

    try:
        return open_store(f"s3://{settings.s3.bucket}" if url is None else url, settings.s3)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="S3_BUCKET" if url is None else "--store") from None


def _read_task(task: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if task == "-" else Path(task).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"can't be read: {error.strerror}", param_hint="TASK.json") from None


def main() -> None:
    """Run the command line and exit with a code of sysexits.h.

    The process ends without finalizing the interpreter: obstore's threads may release Python objects during that, and
    abort the process (SIGABRT in 13 to 20 of 100 processes that end right after a request, obstore 0.12; PyO3's
    pyo3-async-runtimes issue 40), which would replace the exit code. All work and clean-up is done before.
    """
    closed = reopen_closed_streams()
    use_utf8()
    code = _exit_code(closed)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # the reader has closed it
            stream.flush()
    os._exit(code)


def _exit_code(closed: frozenset[str]) -> int:
    if "stdout" in closed and sys.argv[1:2] != ["worker"]:
        _print_error("standard output is closed, so the result can't be printed; open it or redirect it to a file")
        return USAGE_EXIT_CODE
    try:
        app(obj=closed)
    except SystemExit as end:
        if isinstance(end.code, int):
            return USAGE_EXIT_CODE if end.code == TYPERS_USAGE_EXIT_CODE else end.code
        return 0 if end.code is None else 1
    except IngestError as error:
        # These messages never contain a value, so there is nothing to redact.
        _print_error(str(error))
        return error.exit_code
    return 0


def _print_error(message: str) -> None:
    with suppress(OSError):  # the exit code still shows the failure
        sys.stderr.write(f"cryo-ingest: {message}\n")
        sys.stderr.flush()
