"""The command line of the worker: `cryo-ingest run` and, later, `worker`, `verify`, `gaps`, `plan`, `sync`."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def root() -> None:
    """Extract a range of chain data with Cryo, prove that it is whole, publish it once."""


def main() -> None:
    """Run the command line."""
    app()
