"""`cryo-harness probe-store`: measure the behaviour of a store."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.stores.backends import BadStore, backends


def probe_command(store: Annotated[str, typer.Argument(metavar="URL", help="moto, minio, or a URL.")]) -> None:
    """Print how a store handles races, conditions, wrong checksums, wrong keys, listings and Unicode."""
    try:
        with backends(store) as measured:
            for question, answer in measured.answers.items():
                typer.echo(f"{question:34} {answer}")
            typer.echo(f"{'can not show':34} {', '.join(measured.limitations) or '-'}")
    except BadStore as error:
        typer.echo(f"cryo-harness: {error}", err=True)
        raise typer.Exit(64) from None
