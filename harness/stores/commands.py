"""`cryo-harness probe-store`."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.stores.backends import BadStore, backends


def probe_command(store: Annotated[str, typer.Argument(metavar="URL", help="moto, minio, or a URL.")]) -> None:
    """Print what a store does with races, conditions, wrong checksums and keys, listing and unicode."""
    try:
        with backends(store) as around:
            for question, answer in around.answers.items():
                typer.echo(f"{question:34} {answer}")
            typer.echo(f"{'can not show':34} {', '.join(around.limitations) or '-'}")
    except BadStore as error:
        typer.echo(f"cryo-harness: {error}", err=True)
        raise typer.Exit(64) from None
