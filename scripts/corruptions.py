"""Corrupt good files and print how often each level of proof detects each kind of corruption, by dataset.

    python scripts/corruptions.py [--trials 20] [--datasets NAME…]

Each trial changes one place of a correct file of 200 blocks, chosen by a seed, and uses a correct node.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import structlog

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.proving import prove_files, settings_of, task_of

from cryo_ingest.errors import IngestError
from cryo_ingest.layout import chunks
from cryo_ingest.levels import LEVELS
from harness.fakes.rpc import Node, RpcPool
from harness.world.chain import Chain
from harness.world.tables import build

CHAIN = Chain(1)
BLOCKS = 200
DATASETS = (
    *("blocks", "transactions", "logs", "erc20_transfers", "erc721_transfers", "traces", "geth_calls"),
    *("balance_diffs", "storage_reads"),
)
Corruption = Callable[[pa.Table, Random, str], pa.Table]


def number_of(table: pa.Table, row: int) -> int:
    """Return the block number of a row."""
    number: int = table["block_number"][row].as_py()
    return number


def with_number(table: pa.Table, row: int, number: int) -> pa.Table:
    """Return the table with another block number in one row."""
    numbers = table["block_number"].to_pylist()
    numbers[row] = number
    field = table.schema.field("block_number")
    return table.set_column(table.schema.get_field_index("block_number"), field, pa.array(numbers, field.type))


def drop_row(table: pa.Table, random: Random, _: str) -> pa.Table:
    """Remove one row."""
    row = random.randrange(table.num_rows)
    return pa.concat_tables([table.slice(0, row), table.slice(row + 1)])


def duplicate_row(table: pa.Table, random: Random, _: str) -> pa.Table:
    """Duplicate one row."""
    row = random.randrange(table.num_rows)
    return pa.concat_tables([table.slice(0, row + 1), table.slice(row)])


def swap_numbers(table: pa.Table, random: Random, _: str) -> pa.Table:
    """Exchange the block numbers of two rows of different blocks."""
    first, second = random.sample(range(table.num_rows), 2)
    while number_of(table, first) == number_of(table, second):
        first, second = random.sample(range(table.num_rows), 2)
    first_number, second_number = number_of(table, first), number_of(table, second)
    return with_number(with_number(table, first, second_number), second, first_number)


def alter_number(table: pa.Table, random: Random, _: str) -> pa.Table:
    """Move one row to a neighbouring block."""
    row = random.randrange(table.num_rows)
    number = number_of(table, row)
    return with_number(table, row, number + (1 if number % BLOCKS < BLOCKS - 1 else -1))


def lose_block(table: pa.Table, random: Random, _: str) -> pa.Table:
    """Remove all rows of one block."""
    lost = number_of(table, random.randrange(table.num_rows))
    return table.filter(pa.array([number != lost for number in table["block_number"].to_pylist()]))


def replace_by_neighbour(table: pa.Table, random: Random, dataset: str) -> pa.Table:
    """Replace the rows of one block with those of the next one, under its own number."""
    number = number_of(table, random.randrange(table.num_rows))
    other = build(CHAIN, dataset, [number + 1])
    rest = table.filter(pa.array([value != number for value in table["block_number"].to_pylist()]))
    for row in range(other.num_rows):
        other = with_number(other, row, number)
    return pa.concat_tables([rest, other])


def lose_tail(table: pa.Table, random: Random, _: str) -> pa.Table:
    """Remove the last rows of the file."""
    return table.slice(0, table.num_rows - random.randrange(1, 1 + table.num_rows // 4))


def alter_value(table: pa.Table, random: Random, _: str) -> pa.Table:
    """Flip the last bit of one binary value."""
    names = [
        name
        for name in table.column_names
        if pa.types.is_large_binary(table.schema.field(name).type) and table[name].null_count < table.num_rows
    ]
    name = random.choice(names)
    values = table[name].to_pylist()
    row = random.choice([row for row, value in enumerate(values) if value is not None])
    values[row] = values[row][:-1] + bytes([(values[row] or b"\0")[-1] ^ 1])
    field = table.schema.field(name)
    return table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))


CORRUPTIONS: dict[str, Corruption | None] = {
    "drop a row": drop_row,
    "duplicate a row": duplicate_row,
    "swap two rows' numbers": swap_numbers,
    "alter a row's number": alter_number,
    "lose a block": lose_block,
    "replace a block by its neighbour": replace_by_neighbour,
    "lose the tail": lose_tail,
    "alter a value": alter_value,
    "truncate the file": None,
}


def detected(dataset: str, name: str, seed: int, folder: Path, url: str) -> str | None:
    """Return the first level that detects one corruption, or None."""
    random = Random(f"{dataset} {name} {seed}")  # noqa: S311 - a seed makes it repeatable
    start = BLOCKS * random.randrange(1, 50)
    task = task_of(dataset, start, start + BLOCKS)
    (chunk,) = chunks(task)
    path = folder / chunk.name
    table = build(CHAIN, dataset, range(chunk.start, chunk.end))
    corruption = CORRUPTIONS[name]
    corrupted = table if corruption is None else corruption(table, random, dataset)
    if corruption is not None and corrupted.equals(table):
        return "same"
    pq.write_table(corrupted, path)
    if corruption is None:
        content = path.read_bytes()
        path.write_bytes(content[: random.randrange(len(content))])
    for level in LEVELS:
        try:
            asyncio.run(prove_files(task, settings_of(url, level), {chunk: path}))
        except IngestError:
            return level
    return None


def main() -> int:
    """Print the detection rates."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--datasets", nargs="*", default=DATASETS)
    options = parser.parse_args()
    trials = options.trials
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(f"Detected of {trials} trials at rows / chain / receipts; a trial that changed nothing does not count.\n")
    print(f"| dataset | {' | '.join(CORRUPTIONS)} |\n|---|{'---|' * len(CORRUPTIONS)}")
    with tempfile.TemporaryDirectory() as folder, RpcPool(Node(CHAIN)) as pool:
        for dataset in options.datasets:
            cells = []
            for name in CORRUPTIONS:
                levels = [detected(dataset, name, seed, Path(folder), pool.url) for seed in range(trials)]
                counted = [level for level in levels if level != "same"]
                by_level = [sum(level in LEVELS[: index + 1] for level in counted) for index in range(len(LEVELS))]
                cells.append(f"{' / '.join(map(str, by_level))} of {len(counted)}")
            print(f"| {dataset} | {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
