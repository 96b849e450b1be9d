"""The command line of the harness; each command lives beside what it runs, and is only registered here."""

from __future__ import annotations

import typer

from harness.fakes.rpc import cli as rpc

app = typer.Typer(no_args_is_help=True, add_completion=False)
serve = typer.Typer(no_args_is_help=True, help="Start one fake by hand; its URL is the first line of stdout.")
app.add_typer(serve, name="serve")
serve.command("rpc")(rpc.serve)


@app.callback()
def root() -> None:
    """Run a world in a box, throw faults at a worker in it, and judge it clause by clause."""


def main() -> None:
    """Run the command line."""
    app()
