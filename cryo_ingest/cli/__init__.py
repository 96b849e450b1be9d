"""The command line of the worker: one function for each command. Commands of jobs are in `jobs.py`."""

from __future__ import annotations

import os
import re
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import typer

from cryo_ingest.cli import examples, jobs
from cryo_ingest.cli.common import (
    NO_STORE,
    QuietOption,
    StoreOption,
    VerboseOption,
    open_store_of,
    print_error,
    print_version,
)
from cryo_ingest.errors import BadPayload, ConfigurationError, IngestError
from cryo_ingest.model import UUID_PATTERN, Assignment, check_pool_name, parse_task_text
from cryo_ingest.screen import Show
from cryo_ingest.settings import MAX_PORT, check_mode_is_chosen, from_environment
from cryo_ingest.streams import reopen_closed_streams, use_utf8

USAGE_EXIT_CODE = 64
"""sysexits.h EX_USAGE."""

TYPERS_USAGE_EXIT_CODE = 2

MANY = 2

REFERENCE_HELP = (
    "A version's s3:// or file:// prefix; a publication as `run` prints it; a file with such lines, or - for "
    "standard input."
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="docs/reference.md of the repository describes commands, variables, errors and log events.",
)


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Extract a range of chain data with Cryo, prove that it is complete, and publish it once."""


@app.command(epilog=examples.RUN)
def run(  # noqa: PLR0913, PLR0917 - typer's form
    context: typer.Context,
    task: Annotated[str, typer.Argument(metavar="TASK.json", help="The payload's file, or - for standard input.")],
    store: StoreOption = None,
    task_id: Annotated[str | None, typer.Option(help="The task's UUID. [default: a fresh one]")] = None,
    attempt: Annotated[int, typer.Option(min=1, help="The number of this attempt.")] = 1,
    quiet: QuietOption = False,  # noqa: FBT002 - typer's form
    verbose: VerboseOption = False,  # noqa: FBT002 - as above
) -> None:
    """Run one attempt without a dispatcher; the publication is one JSON line on standard output.

    Exit codes: 0 published, 64 usage, 65 bad payload, 69 fatal, 75 retryable, 78 bad configuration, 130/143 by signal.
    """
    if task_id is not None and not re.fullmatch(UUID_PATTERN, task_id):
        raise typer.BadParameter("must be a UUID", param_hint="--task-id")
    settings = from_environment(os.environ)
    check_mode_is_chosen(os.environ)
    if store is None and settings.s3.bucket is None:
        raise ConfigurationError({"S3_BUCKET": NO_STORE})
    if task == "-" and "stdin" in (context.obj or ()):
        raise typer.BadParameter("standard input is closed", param_hint="TASK.json")
    payload = _read_task(task)
    assignment = Assignment((task_id or str(uuid.uuid4())).lower(), attempt, payload)

    opened = open_store_of(store, settings)

    from cryo_ingest.run import run as run_one  # noqa: PLC0415 - slow to import, and not needed for usage errors

    raise typer.Exit(run_one(assignment, settings=settings, store=opened, show=Show(quiet, verbose)))


@app.command(epilog=examples.WORKER)
def worker() -> None:
    """Run tasks from the wake-up queue and the dispatcher until a signal; the environment configures both.

    The first SIGTERM or SIGINT drains within TRACE_SHUTDOWN_GRACE_SECONDS, the second ends the process at once.
    Exit codes: 0 drained, 78 bad configuration, 130/143 not drained in time.
    """
    from cryo_ingest.serve.settings import service_from_environment  # noqa: PLC0415 - only this command needs it

    settings, service = service_from_environment(os.environ)
    check_mode_is_chosen(os.environ)

    from cryo_ingest.serve.start import serve  # noqa: PLC0415 - slow to import, and not needed for a configuration error

    raise typer.Exit(serve(settings, service))


@app.command(epilog=examples.VERIFY)
def verify(
    references: Annotated[list[str], typer.Argument(metavar="REF…", help=REFERENCE_HELP)],
    against: Annotated[
        str | None, typer.Option(metavar="POOL", help="Compare with the nodes of this RPC pool too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002 - typer's form
    quiet: QuietOption = False,  # noqa: FBT002 - as above
    verbose: VerboseOption = False,  # noqa: FBT002 - as above
) -> None:
    """Verify published versions from their stored files and, with --against, with a node.

    Exit codes: 0 all complete, 1 problems found, 64 usage, 69 and 75 the store or the node failed.
    """
    from cryo_ingest.audit.commands import verify_all  # noqa: PLC0415 - slow to import, and not needed for usage errors
    from cryo_ingest.audit.locations import BadReference, read_reference  # noqa: PLC0415 - as above

    try:
        locations = [read_reference(line) for text in references for line in _reference_lines(text)]
    except BadReference as error:
        raise typer.BadParameter(str(error), param_hint="REF") from None
    show, settings = Show(quiet, verbose), from_environment(os.environ)
    raise typer.Exit(verify_all(locations, settings=settings, against=against, as_json=as_json, show=show))


@app.command(epilog=examples.GAPS)
def gaps(  # noqa: PLR0913, PLR0917 - typer's form
    dataset: Annotated[str, typer.Argument(metavar="URL", help="s3://bucket/cryo/CHAIN/DATASET_UUID/, or file://.")],
    start: Annotated[int, typer.Option("--from", min=0, help="The first block.")],
    end: Annotated[int, typer.Option("--to", min=1, help="The block after the last one.")],
    like: Annotated[
        Path | None,
        typer.Option(metavar="TASK.json", help="A payload of the dataset; print tasks like it for the missing ranges."),
    ] = None,
    task_blocks: Annotated[
        int | None,
        typer.Option(min=1, help="The blocks of a printed task. [default: the most frequent size of what is there]"),
    ] = None,
    quiet: QuietOption = False,  # noqa: FBT002 - typer's form
    verbose: VerboseOption = False,  # noqa: FBT002 - as above
) -> None:
    """Find missing, overlapping, unpublished, incomplete and duplicate ranges, from listings alone.

    Findings go to standard error. With --like, tasks for the missing ranges go to standard output, as JSON lines.
    Exit codes: 0 no findings, 1 findings, 64 usage, 69 and 75 the store failed.
    """
    from cryo_ingest.audit.commands import BadTemplate, GapsRequest, gaps_in  # noqa: PLC0415 - slow to import
    from cryo_ingest.audit.locations import BadReference, read_dataset_reference  # noqa: PLC0415 - as above

    if end <= start:
        raise typer.BadParameter("must be greater than --from", param_hint="--to")
    try:
        url, prefix = read_dataset_reference(dataset)
    except BadReference as error:
        raise typer.BadParameter(str(error), param_hint="URL") from None
    settings = from_environment(os.environ)
    request = GapsRequest(url, prefix, (start, end), like, task_blocks)
    try:
        raise typer.Exit(gaps_in(request, settings=settings, show=Show(quiet, verbose)))
    except BadTemplate as error:
        raise typer.BadParameter(str(error), param_hint="--like") from None


@app.command(epilog=examples.CATALOG)
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
        open_store_of(store, settings)
    except BadReference as error:
        raise typer.BadParameter(str(error), param_hint="URL") from None
    raise typer.Exit(print_catalog(CatalogRequest(store, prefix, config_hash, sql, as_json), settings=settings))


@app.command(epilog=examples.GATEWAY)
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


for _command in (jobs.plan, jobs.sync, jobs.status, jobs.pause, jobs.resume):
    app.command(epilog=examples.JOBS[_command.__name__])(_command)


def _read_task(task: str) -> object:
    """Return the payload in a file.

    Raises:
        BadPayload: it is not JSON.
        typer.BadParameter: the file has several tasks.
    """
    content = _read_file(task, param_hint="TASK.json")
    try:
        payload = parse_task_text(content)
    except BadPayload:
        count = len(content.split(b"\n{")) if content.lstrip().startswith(b"{") else 1
        if count == 1:
            raise
    else:
        if not isinstance(payload, list) or len(payload) < MANY or not all(isinstance(item, dict) for item in payload):
            return payload
        count = len(payload)
    raise typer.BadParameter(
        f"has {count} tasks, and `run` takes one: write each to its own file, or use `sync` with a job",
        param_hint="TASK.json",
    )


def _read_file(name: str, *, param_hint: str) -> bytes:
    """Return a file's content, that of standard input for `-`."""
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{name} can't be read: {error.strerror}", param_hint=param_hint) from None


def _reference_lines(text: str) -> list[str]:
    """Return the references in an argument: itself, or the lines of the file that it names."""
    if text != "-" and (text.lstrip().startswith("{") or "://" in text):
        return [text]
    lines = _read_file(text, param_hint="REF").decode(errors="replace").splitlines()
    found = [line for line in lines if line.strip()]
    if not found:
        raise typer.BadParameter(f"{text} has no reference", param_hint="REF")
    return found


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
        print_error("standard output is closed, so the result can't be printed; open it or redirect it to a file")
        return USAGE_EXIT_CODE
    try:
        app(obj=closed)
    except SystemExit as end:
        if isinstance(end.code, int):
            return USAGE_EXIT_CODE if end.code == TYPERS_USAGE_EXIT_CODE else end.code
        return 0 if end.code is None else 1
    except IngestError as error:
        # These messages never contain a value, so there is nothing to redact.
        print_error(str(error))
        return error.exit_code
    return 0
