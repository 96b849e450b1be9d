"""Output of a benchmark's table: to stdout, and into a document that contains the table."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the common options `--anvil` and `--write`."""
    shared = argparse.ArgumentParser(description=description)
    shared.add_argument("--anvil", default="anvil", help="path of anvil")
    shared.add_argument(
        "--write", type=Path, help="a Markdown file in which to replace the table with the same heading"
    )
    return shared


def load() -> str:
    """Return the load of the machine, which a reader needs to judge figures from a shared machine."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"


def publish(table: list[str], path: Path | None) -> None:
    """Print a table, and replace the table with the same heading in a document.

    Raises:
        SystemExit: the document has no table with that heading.
    """
    print("\n".join(table))
    if path is None:
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    if table[0] not in lines:
        raise SystemExit(f"--write {path}: it has no table with the heading {table[0]}")
    first = lines.index(table[0])
    last = next((index for index in range(first, len(lines)) if not lines[index].startswith("|")), len(lines))
    path.write_text("\n".join([*lines[:first], *table, *lines[last:]]) + "\n", encoding="utf-8")
