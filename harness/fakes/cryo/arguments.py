"""The command line of `fake-cryo`. What it does not model is refused by name, never ignored."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

USAGE = 2

DEFAULT_CHUNK_BLOCKS = 1000


@dataclass(frozen=True, slots=True)
class Arguments:
    """A command that is modelled: one dataset over the blocks `[start, end)`."""

    dataset: str
    start: int
    end: int
    output_dir: Path
    network_name: str | None
    rpc: str | None
    chunk_blocks: int
    overwrite: bool
    report: bool
    words: tuple[str, ...]


class CommandError(Exception):
    """The command fails as Cryo's own would: its text on standard output, exit code 1."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"error: {message} (fake-cryo does not model it, or Cryo 0.3.2 does not have it)\n")
        raise SystemExit(USAGE)


def parse(words: list[str]) -> Arguments:
    """Parse a command line.

    Raises:
        SystemExit: with code 2 for what is not modelled, 0 for `--version`.
        CommandError: for what real Cryo refuses with exit code 1.
    """
    parser = _Parser(prog="fake-cryo", allow_abbrev=False, description="A fake of Cryo 0.3.2 on a deterministic chain.")
    parser.add_argument("--version", action="version", version="cryo 0.3.2")
    parser.add_argument("dataset")
    parser.add_argument("-b", "--blocks", required=True)
    parser.add_argument("-o", "--output-dir", default=".", type=Path)
    parser.add_argument("-r", "--rpc")
    parser.add_argument("-c", "--chunk-size", default=DEFAULT_CHUNK_BLOCKS, type=_positive)
    parser.add_argument("--network-name")
    parser.add_argument("--no-report", action="store_true")
    parser.add_argument("--overwrite", action="store_true")
    # These change how fast the real one goes, never what it writes.
    parser.add_argument("-l", "--requests-per-second", type=_positive)
    parser.add_argument("--max-concurrent-requests", type=_positive)
    parser.add_argument("--max-concurrent-chunks", type=int)
    found = parser.parse_args(words)
    start, end = _block_range(found.blocks, parser)
    return Arguments(
        dataset=found.dataset,
        start=start,
        end=end,
        output_dir=found.output_dir,
        network_name=found.network_name,
        rpc=found.rpc,
        chunk_blocks=found.chunk_size,
        overwrite=found.overwrite,
        report=not found.no_report,
        words=tuple(words),
    )


def _block_range(text: str, parser: _Parser) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]+):([0-9]+)", text)
    if match is None:
        parser.error(f"--blocks {text}: only START:END is modelled")
    start, end = int(match[1]), int(match[2])
    if end <= start:
        raise CommandError(
            "Parsing error: Error: Cannot parse block range: end_block should not be less than start_block"
        )
    return start, end


def _positive(text: str) -> int:
    number = int(text)
    if number <= 0:
        raise ValueError
    return number
