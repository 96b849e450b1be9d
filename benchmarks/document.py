"""Where a benchmark's table goes: to stdout, and into the document that has the table already."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of what these benchmarks have in common: `--anvil` and `--write`."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--anvil", default="anvil", help="anvil's path")
    made.add_argument("--write", type=Path, help="a Markdown file whose table with the same heading is replaced")
    return made


def load() -> str:
    """Return how busy the machine is: what a figure taken on a shared one must be read beside."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"


def publish(table: list[str], path: Path | None) -> None:
    """Print a table (its heading first), and put it in the place of the one with that heading in a document.

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
    last = next((place for place in range(first, len(lines)) if not lines[place].startswith("|")), len(lines))
    path.write_text("\n".join([*lines[:first], *table, *lines[last:]]) + "\n", encoding="utf-8")
