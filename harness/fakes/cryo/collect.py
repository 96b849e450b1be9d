"""The collecting itself: a file for each chunk, or an error; what the endpoint does not have yet is an error too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.fakes.cryo.faults import CryoFaults, hang
from harness.fakes.cryo.source import tell_written
from harness.fakes.cryo.write import write_table
from harness.world.chain import Chain, Reorg
from harness.world.quirks import Quirks
from harness.world.tables import build

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from harness.fakes.cryo.plan import Chunk, Plan
    from harness.fakes.cryo.source import Source

_BY_LOGS = frozenset({"logs", "erc20_transfers", "erc721_transfers"})
_READS_HYDRATED = frozenset(
    {*_BY_LOGS, "contracts", "native_transfers", "traces", "transactions", "vm_traces"},
)
"""The datasets for which Cryo asks no block for its transactions' hashes; all others fail on whole ones."""


def chain_of(source: Source) -> Chain:
    """Return the chain that a source names, with the quirks and reorgs that its pool told of."""
    return Chain(
        chain_id=source.chain_id,
        seed=source.seed,
        quirks=Quirks(**source.script.get("quirks", {})),
        reorgs=tuple(Reorg(**reorg) for reorg in source.script.get("reorgs", ())),
    )


class Collection:
    """One run's chunks: which are done, which failed and why, how many rows were written."""

    def __init__(self, plan: Plan, source: Source, faults: CryoFaults, *, statistics: bool) -> None:
        self.plan, self.faults, self.statistics = plan, faults, statistics
        self._source = source
        self.marked = source.url is None
        self.head: int | None = source.script.get("head")
        self.logs_past_head_fail: bool = source.script.get("logs_past_head_fail", True)
        self.chain = chain_of(source)
        self.completed: list[Chunk] = []
        self.errored: list[tuple[Chunk, str]] = []
        self.rows = 0

    def collect(self) -> Collection:
        """Write every chunk that can be written, and return itself."""
        for place, chunk in enumerate(self.plan.chunks):
            self.faults.after(place)
            self.faults.grow(self.plan.directory)
            failure = self._refusal(chunk, place) or self._unreadable(chunk)
            if failure is not None:
                self.errored.append((chunk, failure))
                continue
            self._write(chunk, place)
            self.completed.append(chunk)
        self.faults.after(len(self.plan.chunks))
        if extra := self.faults.find("extra_file"):
            table = build(self.chain, self.plan.dataset, self.plan.chunks[0].blocks.numbers)
            self._write_table(table, self.plan.directory / extra["name"])
        if self.faults.find("hang", when="after"):
            hang()
        return self

    def _refusal(self, chunk: Chunk, place: int) -> str | None:
        """Return the error that a chunk meets with, or None."""
        if failing := self.faults.find("fail_chunk", chunk=place):
            return str(failing.get("message", "Failed to get block: scripted failure"))
        if self.faults.find("disk_full", chunk=place):
            chunk.temporary.write_bytes(b"PAR1")
            return "Collect failed: error writing file"
        last = max(chunk.blocks.numbers)
        if self.head is None or last <= self.head:
            return None
        dataset = self.plan.dataset
        if dataset in _BY_LOGS:
            told = f"block range extends beyond current head block: {last} > {self.head}"
            refused = f"Failed to get block: (code: -32602, message: {told}, data: None)"
            return refused if self.logs_past_head_fail else None
        if dataset in {"blocks", "transactions", "address_appearances"}:
            return "Collect failed: block not found"
        return f"Failed to get block: (code: -32000, message: block {last:#x} not found, data: None)"

    def _unreadable(self, chunk: Chunk) -> str | None:
        """Return the error of a chunk that Cryo can't read from such a node at all, or None."""
        quirks, dataset = self.chain.quirks, self.plan.dataset
        lacks_receipts = quirks.no_receipts and dataset == "transactions"
        lacks_hashes = quirks.hydrated_blocks and dataset not in _READS_HYDRATED
        if not (lacks_receipts or lacks_hashes):
            return None
        if not any(self.chain.transactions(number) for number in chunk.blocks.numbers):
            return None
        if lacks_receipts:
            told = "the method eth_getTransactionReceipt does not exist/is not available"
            return f"Failed to get block: (code: -32601, message: {told}, data: None)"
        return "Failed to get block: deserialization error: invalid type: map, expected a hash"

    def _write(self, chunk: Chunk, place: int) -> None:
        """Write one chunk's file, by its temporary name first, with the faults that apply to it."""
        faults = self.faults
        table = self._table(chunk, place)
        if faults.find("omit_chunk", chunk=place):
            return
        self._write_table(table, chunk.temporary)
        if faults.find("hang", when="during"):
            hang()
        if faults.find("leave_temporary", chunk=place):
            return
        faults.damage_file(chunk.temporary, place)
        chunk.temporary.rename(chunk.path)
        tell_written(self._source, chunk.path)
        self.rows += table.num_rows

    def _table(self, chunk: Chunk, place: int) -> pa.Table:
        numbers = sorted(chunk.blocks.numbers)
        if self.head is not None:
            numbers = [number for number in numbers if number <= self.head]
        if omitted := self.faults.find("omit_blocks", chunk=place):
            numbers = [number for number in numbers if not omitted["first"] <= number <= omitted["last"]]
        if replaced := self.faults.find("replace_block"):
            numbers = [replaced["by"] if number == replaced["block"] else number for number in numbers]
        table = build(self.chain, self.plan.dataset, numbers)
        if omitted := self.faults.find("omit_rows", chunk=place):
            table = table.take([row for row in range(table.num_rows) if (row + 1) % omitted["every"]])
        if omitted := self.faults.find("omit_transactions", chunk=place):
            hashes = table["transaction_hash"].to_pylist()
            lost = set(list(dict.fromkeys(hashes))[omitted["every"] - 1 :: omitted["every"]])
            table = table.take([row for row, one in enumerate(hashes) if one not in lost])
        if self.faults.find("wrong_schema", chunk=place):
            table = table.rename_columns(["surprise", *table.column_names[1:]])
        return table

    def _write_table(self, table: pa.Table, path: Path) -> None:
        write_table(
            table,
            path,
            compression=self.plan.compression,
            compression_level=self.plan.compression_level,
            row_group_size=self.plan.row_group_size,
            statistics=self.statistics,
            marked=self.marked,
        )
