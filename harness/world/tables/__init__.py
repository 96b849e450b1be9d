"""The chain as Cryo's tables: the oracle that the files of real and fake Cryo are compared with.

A dataset is the names of a row's fields and a function from (chain, block number) to rows, in the order of Cryo's
default sort. A field of 256 bits becomes three columns, as in Cryo. Only `build` and `schema` need pyarrow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.world.catalogue import datasets
from harness.world.tables import appearances, blocks, geth, logs, state, traces, transactions, transfers, vm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pyarrow as pa

    from harness.world.chain import Chain

    Rows = Callable[[Chain, int], Iterable[tuple[object, ...]]]

ROWS: dict[str, tuple[tuple[str, ...], Rows]] = {
    "blocks": (blocks.FIELDS, blocks.rows),
    "transactions": (transactions.FIELDS, transactions.rows),
    "logs": (logs.FIELDS, logs.rows),
    "erc20_transfers": (transfers.ERC20_FIELDS, transfers.erc20_rows),
    "erc721_transfers": (transfers.ERC721_FIELDS, transfers.erc721_rows),
    "traces": (traces.TRACE_FIELDS, traces.trace_rows),
    "native_transfers": (traces.NATIVE_TRANSFER_FIELDS, traces.native_transfer_rows),
    "contracts": (traces.CONTRACT_FIELDS, traces.contract_rows),
    "geth_calls": (geth.CALL_FIELDS, geth.call_rows),
    **{dataset: (fields, state.geth_diffs(dataset)) for dataset, fields in state.GETH_DIFFS.items()},
    **{dataset: (fields, state.diffs(dataset)) for dataset, fields in state.DIFFS.items()},
    **{dataset: (fields, state.reads(dataset)) for dataset, fields in state.READS.items()},
    "address_appearances": (appearances.FIELDS, appearances.rows),
    "four_byte_counts": (geth.COUNT_FIELDS, geth.count_rows),
    "vm_traces": (vm.FIELDS, vm.rows),
    "geth_opcodes": (geth.OPCODE_FIELDS, geth.opcode_rows),
}
"""By dataset: the fields of a row, and the function that returns the rows of a block."""


def schema(dataset: str) -> pa.Schema:
    """Return the schema of Cryo's files; empty files have it too."""
    import pyarrow as pa  # noqa: PLC0415 (slow, and a rejected command line does not need it)

    return pa.schema([pa.field(name, getattr(pa, _ARROW[kind])()) for name, kind in datasets()[dataset].columns])


def build(chain: Chain, dataset: str, numbers: Iterable[int]) -> pa.Table:
    """Return the table that Cryo extracts from some blocks, in Cryo's order."""
    import pyarrow as pa  # noqa: PLC0415 (as above)

    fields, rows = ROWS[dataset]
    table_schema = schema(dataset)
    records = [row for number in numbers for row in rows(chain, number)]
    if not records:
        return table_schema.empty_table()
    columns: dict[str, list[object]] = dict(zip(fields, map(list, zip(*records, strict=True)), strict=True))
    columns["chain_id"] = [chain.chain_id] * len(records)
    arrays = [pa.array(_column(columns, field.name), type=field.type) for field in table_schema]
    return pa.Table.from_arrays(arrays, schema=table_schema)


_ARROW = {"bool": "bool_", "double": "float64"} | {
    name: name for name in ("uint32", "uint64", "large_binary", "large_string")
}


def _column(columns: dict[str, list[object]], name: str) -> list[object]:
    """Return a column of the file; those of a 256-bit field are computed from it in their form."""
    if name in columns:
        return columns[name]
    field, _, form = name.rpartition("_")
    return [value if value is None else _FORMS[form](value) for value in columns[field]]


def _binary(value: object) -> object:
    return value.to_bytes(32, "big")  # type: ignore[attr-defined]


def _float(value: object) -> object:
    return float(value)  # type: ignore[arg-type]


_FORMS: dict[str, Callable[[object], object]] = {"binary": _binary, "string": str, "f64": _float}
