"""The tables that Cryo 0.3.2 makes of the chain: exact schemas, column order, sort order, and nulls.

`TABLES` has a row function for each dataset that is modelled; the rest of Cryo's 36 are to come.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from harness.resources import fixtures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from harness.world.chain import Chain
    from harness.world.model import Block

Row = tuple[Any, ...]


@cache
def measured() -> dict[str, Any]:
    """Return the measured facts of all 36 datasets, by name."""
    path = fixtures() / "golden" / "cryo_schemas.json"
    datasets: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["datasets"]
    return datasets


def schema(dataset: str) -> pa.Schema:
    """Return the Arrow schema of a dataset's files, columns in file order, all nullable."""
    columns = measured()[dataset]["default_columns"]
    return pa.schema([(column["name"], pa.type_for_alias(column["arrow"])) for column in columns])


def table(chain: Chain, dataset: str, numbers: Iterable[int]) -> pa.Table:
    """Return the rows of some blocks, as Cryo sorts them.

    Raises:
        KeyError: the dataset is not modelled.
    """
    rows_of = TABLES[dataset]
    columns: list[list[Any]] = [[] for _ in schema(dataset)]
    for number in numbers:
        for row in rows_of(chain.block(number), chain.chain_id):
            for column, value in zip(columns, row, strict=True):
                column.append(value)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema(dataset), strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema(dataset))


def _blocks(block: Block, chain_id: int) -> Iterator[Row]:
    yield (
        block.hash,
        block.author,
        block.number,
        block.gas_used,
        block.extra_data,
        block.timestamp,
        block.base_fee,
        chain_id,
    )


def _transactions(block: Block, chain_id: int) -> Iterator[Row]:
    for transaction in block.transactions:
        zeros = transaction.input.count(0)
        yield (
            block.number,
            transaction.index,
            transaction.hash,
            transaction.nonce,
            transaction.sender,
            transaction.to,
            transaction.value.to_bytes(32, "big"),
            str(transaction.value),
            float(transaction.value),
            transaction.input,
            transaction.gas_limit,
            transaction.gas_used,
            transaction.gas_price,
            transaction.type,
            transaction.max_priority_fee,
            transaction.max_fee,
            transaction.succeeded,
            len(transaction.input),
            zeros,
            len(transaction.input) - zeros,
            chain_id,
        )


def _logs(block: Block, chain_id: int) -> Iterator[Row]:
    for transaction, log in block.logs:
        topics = (*log.topics, None, None, None, None)[:4]
        place = (block.number, transaction.index, log.index, transaction.hash)
        yield (*place, log.address, *topics, log.data, chain_id)


TABLES: dict[str, Callable[[Block, int], Iterator[Row]]] = {
    "blocks": _blocks,
    "transactions": _transactions,
    "logs": _logs,
}
