"""The command line of the harness; each command lives beside what it runs, and is only registered here."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def root() -> None:
    """Run a world in a box, throw faults at a worker in it, and judge it clause by clause."""


def main() -> None:
    """Run the command line."""
    app()
