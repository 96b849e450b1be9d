"""`cryo-harness bugs`: list the bugs of the reference worker with the clauses whose checks must catch them."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from harness.reference.bugs import BUG_VARIABLE, BUGS


def bugs(
    clause: Annotated[str | None, typer.Option(help="Only the bugs that break this clause.")] = None,
) -> None:
    """List the bugs of the reference worker: HARNESS_REFERENCE_BUG=NAME switches one on."""
    shown = [known for known in BUGS if clause in {None, known.clause}]
    if not shown:
        raise typer.BadParameter(f"no bug breaks {clause!r}; contract.md has the ids", param_hint="--clause")
    table = Table(title=f"{len(shown)} bugs of `python -m harness.reference`, by {BUG_VARIABLE}")
    for heading in ("bug", "clause", "what the worker does wrong"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "what the worker does wrong")
    for known in shown:
        source = f"\n{known.source}" if known.source else ""
        table.add_row(known.name, known.clause, known.does + source)
    Console(soft_wrap=False).print(table)
