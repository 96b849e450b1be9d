"""The command line of the harness: it registers the commands, which are defined in the modules that they run."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated

import typer

from harness.containers.cli import images
from harness.explore.commands import explore_command
from harness.fakes.rpc.cli import rpc
from harness.kit.clauses import clauses_command
from harness.kit.commands import USAGE, judge_command, list_command, run_command
from harness.kit.conformance import conformance_command
from harness.kit.smoke import smoke_command
from harness.reference.table import bugs
from harness.serve.dispatcher import dispatcher
from harness.serve.s3 import s3
from harness.serve.world import world
from harness.simulate.commands import replay_command, simulate_command
from harness.stores.commands import probe_command

TYPERS_USAGE_EXIT_CODE = 2

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: cryo-harness smoke --target 'cmd:./my-worker'. docs/check-your-worker.md of the repository is a "
    "tutorial, docs/harness-reference.md describes all commands.",
)
serving = typer.Typer(
    no_args_is_help=True, help="Start a server that runs until SIGTERM; its URL is the first line of stdout."
)
app.add_typer(serving, name="serve")
serving.command("rpc")(rpc)
serving.command("dispatcher")(dispatcher)
serving.command("s3")(s3)
serving.command("world")(world)
app.add_typer(images, name="images")
app.command("run")(run_command)
app.command("list")(list_command)
app.command("conformance")(conformance_command)
app.command("smoke")(smoke_command)
app.command("judge")(judge_command)
app.command("explore")(explore_command)
app.command("simulate")(simulate_command)
app.command("replay")(replay_command)
app.command("probe-store")(probe_command)
app.command("clauses")(clauses_command)
app.command("bugs")(bugs)


def print_version(*, wanted: bool) -> None:
    """Print the version of the distribution and exit, if that is wanted."""
    if wanted:
        typer.echo(f"cryo-harness {metadata.version('cryo-ingest')}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Run a worker in a simulated platform, inject faults, and judge it clause by clause."""


def main() -> None:
    """Run the command line; usage errors end with exit code 64, as all errors that a user can fix."""
    try:
        app()
    except SystemExit as ended:
        if ended.code == TYPERS_USAGE_EXIT_CODE:
            raise SystemExit(USAGE) from None
        raise
