"""Summarizes a file's rows by block, in a few bytes for each, so that a node's answers can be compared with them.

A summary reads its file batch by batch. `blocks` lists the blocks to request, `compare_header` compares a header with
the rows, `compare_receipts` the block's receipts. Summaries of datasets made of logs are in `log_summaries.py`. Loads
pyarrow, so it is imported late.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from cryo_ingest.errors import ProofFailed
from cryo_ingest.prove.batches import batches
from cryo_ingest.rpc.results import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cryo_ingest.layout import Chunk
    from cryo_ingest.rpc.results import Header, Receipt

SAMPLED_BLOCKS = 30
"""Blocks of a `blocks` file that are compared besides its first and last; each also checks its parent's hash."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A difference between a block's rows and its header.

    A `heuristic` mismatch (blooms, log indexes, membership in a transaction) also occurs on several correct chains, so
    it is reported only if the block's receipts or logs confirm it.
    """

    text: str
    heuristic: bool = False


class Summary(Protocol):
    """One file's rows, summarized by block; see the module."""

    blocks: list[int]

    def compare_header(self, header: Header) -> Mismatch | None:
        """Compare a block's header with the file's rows."""
        ...

    def compare_receipts(self, header: Header, receipts: Mapping[bytes, Receipt]) -> str | None:
        """Compare a block's receipts with the file's rows; return the difference, None if they match."""
        ...


def check_sizes(
    values: Sequence[bytes | None],
    size: int,
    *,
    path: Path,
    numbers: Sequence[int],
    what: str = "transaction hash",
    optional: bool = False,
) -> None:
    """Check that each value has the right length, so that the memory for a file is bounded; `numbers` are its blocks.

    With `optional`, values can be missing.

    Raises:
        ProofFailed: one has another length.
    """
    if {None if value is None else len(value) for value in values} <= {size, *([None] if optional else [])}:
        return
    for value, number in zip(values, numbers, strict=True):
        if (value is None and not optional) or (value is not None and len(value) != size):
            raise ProofFailed(file=path.name, evidence=f"block {number}: a row's {what} is not {size} bytes")


class BlocksSummary:
    """`blocks`: all columns of the first, last and sampled blocks, and the hashes of their parents' rows."""

    _FIELDS = ("block_hash", "gas_used", "timestamp", "base_fee_per_gas", "author", "extra_data")

    def __init__(self, path: Path, chunk: Chunk, *, dataset: str, digest: str) -> None:
        del dataset
        span = range(chunk.start, chunk.end)
        draws = hashlib.shake_128(digest.encode()).digest(4 * SAMPLED_BLOCKS)
        drawn = (int.from_bytes(draws[offset : offset + 4], "big") for offset in range(0, len(draws), 4))
        wanted = {chunk.start, chunk.end - 1, *(span[number % len(span)] for number in drawn)}
        self.blocks = sorted(wanted)
        self._rows: dict[int, dict[str, Any]] = {}
        for batch in batches(path, ["block_number", *self._FIELDS]):
            for index, number in enumerate(batch["block_number"]):
                if number in wanted or number + 1 in wanted:
                    self._rows[number] = {name: batch[name][index] for name in self._FIELDS}

    def compare_header(self, header: Header) -> Mismatch | None:
        """Compare the row, and the hash of its parent's row."""
        row = self._rows[header.number]
        expected = {"block_hash": header.hash, "gas_used": header.gas_used}
        optional = {name: getattr(header, name) for name in ("timestamp", "author", "extra_data", "base_fee_per_gas")}
        expected |= {name: value for name, value in optional.items() if value is not None}
        wrong = [name for name, value in expected.items() if row[name] != value]
        if wrong:
            return Mismatch(f"its {', '.join(wrong)} {'differs' if len(wrong) == 1 else 'differ'} from the node's")
        below = self._rows.get(header.number - 1)
        if below is not None and below["block_hash"] != header.parent_hash:
            return Mismatch(f"its parent is not the row of block {header.number - 1}")
        return None

    def compare_receipts(self, header: Header, receipts: Mapping[bytes, Receipt]) -> str | None:
        """Return None: receipts add nothing to the header."""
        del header, receipts
        return None


class TransactionsSummary:
    """`transactions`: each block's hashes in order; gas used and success, to compare with the receipts."""

    def __init__(self, path: Path, chunk: Chunk, *, dataset: str, digest: str) -> None:
        del dataset, digest
        self.blocks = list(range(chunk.start, chunk.end))
        rows: dict[int, list[tuple[int, bytes, int, bool]]] = defaultdict(list)
        columns = ["transaction_index", "transaction_hash", "gas_used", "success"]
        for batch in batches(path, ["block_number", *columns]):
            numbers = batch["block_number"]
            check_sizes(batch["transaction_hash"], HASH_BYTES, path=path, numbers=numbers)
            for number, row in zip(numbers, zip(*(batch[name] for name in columns), strict=True), strict=True):
                rows[number].append(row)
        self._rows = {number: sorted(found, key=lambda row: row[0]) for number, found in rows.items()}

    def compare_header(self, header: Header) -> Mismatch | None:
        """Compare the hashes in order."""
        hashes = tuple(row[1] for row in self._rows.get(header.number, ()))
        if hashes == header.transactions:
            return None
        if len(hashes) != len(header.transactions):
            return Mismatch(f"it has {len(header.transactions)} transactions, the file {len(hashes)}")
        return Mismatch("its transactions differ from the file's, or are in another order")

    def compare_receipts(self, header: Header, receipts: Mapping[bytes, Receipt]) -> str | None:
        """Compare gas and success, transaction by transaction."""
        for index, transaction_hash, gas_used, success in self._rows.get(header.number, ()):
            receipt = receipts[transaction_hash]
            if receipt.gas_used != gas_used:
                return f"the gas used by transaction {index} differs from its receipt"
            if receipt.success is not None and receipt.success != success:
                return f"the success of transaction {index} differs from its receipt"
        return None


class TracesSummary:
    """`traces`, `geth_calls`: which transactions of a block have a row."""

    def __init__(self, path: Path, chunk: Chunk, *, dataset: str, digest: str) -> None:
        del dataset, digest
        self.blocks = list(range(chunk.start, chunk.end))
        self._transactions: dict[int, set[bytes]] = defaultdict(set)
        columns = ["block_number", "transaction_hash"]
        for batch in batches(path, columns):
            numbers, hashes = batch["block_number"], batch["transaction_hash"]
            check_sizes(hashes, HASH_BYTES, path=path, numbers=numbers, optional=True)
            for number, transaction_hash in zip(numbers, hashes, strict=True):
                if transaction_hash is not None:  # a block reward has none
                    self._transactions[number].add(transaction_hash)

    def compare_header(self, header: Header) -> Mismatch | None:
        """Find gas without rows, rows of unknown transactions, and transactions without rows.

        Only a transaction that used no gas (a system transaction of some chains) may have no row.
        """
        traced = self._transactions.get(header.number, set())
        if header.gas_used and not traced:
            return Mismatch(f"it used {header.gas_used} gas, but the file has no row of it")
        if not traced <= set(header.transactions):
            return Mismatch("a row's transaction is not in the block")
        missing = [index for index, each in enumerate(header.transactions) if each not in traced]
        if missing:
            return Mismatch(f"the file has no row of its transaction {missing[0]}", heuristic=True)
        return None

    def compare_receipts(self, header: Header, receipts: Mapping[bytes, Receipt]) -> str | None:
        """Find a transaction that used gas and has no row."""
        traced = self._transactions.get(header.number, set())
        for index, each in enumerate(header.transactions):
            if each not in traced and receipts[each].gas_used:
                return f"its transaction {index} used {receipts[each].gas_used} gas, but the file has no row of it"
        return None
