"""The extraction: a file or an error for each chunk. A block past the endpoint's head is an error too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.fakes.cryo.faults import CryoFaults, hang
from harness.fakes.cryo.read import Reader
from harness.fakes.cryo.source import report_written
from harness.fakes.cryo.write import write_table
from harness.world.chain import Chain, ChainReorg
from harness.world.quirks import Quirks
from harness.world.tables import build

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from harness.fakes.cryo.arguments import Arguments
    from harness.fakes.cryo.plan import Chunk, Plan
    from harness.fakes.cryo.source import Source

_BY_LOGS = frozenset({"logs", "erc20_transfers", "erc721_transfers"})
_READS_HYDRATED = frozenset(
    {*_BY_LOGS, "contracts", "native_transfers", "traces", "transactions", "vm_traces"},
)
"""The datasets for which Cryo does not read transaction hashes from blocks; the others fail on full transactions."""


def chain_of(source: Source) -> Chain:
    """Return the chain of a source, with the quirks and reorgs from its pool's script."""
    return Chain(
        chain_id=source.chain_id,
        seed=source.seed,
        quirks=Quirks(**source.script.get("quirks", {})),
        reorgs=tuple(ChainReorg(**reorg) for reorg in source.script.get("reorgs", ())),
    )


class Collection:
    """The chunks of one run: completed, failed with the reason, and the number of rows written."""

    def __init__(self, plan: Plan, source: Source, faults: CryoFaults, arguments: Arguments) -> None:
        self.plan, self.faults, self.statistics = plan, faults, not arguments.no_stats
        self._source = source
        reads = source.url is not None and faults.find("read_blocks") is not None
        self._reader = Reader(source.url or "", plan.dataset, arguments) if reads else None
        self.marked = source.url is None
        self.head: int | None = source.script.get("head")
        self.logs_past_head_fail: bool = source.script.get("logs_past_head_fail", True)
        self.chain = chain_of(source)
        self.completed: list[Chunk] = []
        self.errored: list[tuple[Chunk, str]] = []
        self.rows = 0

    def collect(self) -> Collection:
        """Write every chunk that can be written and return this collection."""
        for index, chunk in enumerate(self.plan.chunks):
            self.faults.after(index)
            self.faults.grow(self.plan.directory)
            failure = self._chunk_error(chunk, index) or self._node_error(chunk) or self._reading_error(chunk)
            if failure is not None:
                self.errored.append((chunk, failure))
                continue
            self._write(chunk, index)
            self.completed.append(chunk)
        self.faults.after(len(self.plan.chunks))
        if extra := self.faults.find("extra_file"):
            table = build(self.chain, self.plan.dataset, self.plan.chunks[0].blocks.numbers)
            self._write_table(table, self.plan.directory / extra["name"])
        if self.faults.find("hang", when="after"):
            hang()
        return self

    def _chunk_error(self, chunk: Chunk, index: int) -> str | None:
        """Return the error of a chunk by script or past the head, or None."""
        if failing := self.faults.find("fail_chunk", chunk=index):
            return str(failing.get("message", "Failed to get block: scripted failure"))
        if self.faults.find("disk_full", chunk=index):
            chunk.temporary.write_bytes(b"PAR1")
            return "Collect failed: error writing file"
        last = max(chunk.blocks.numbers)
        if self.head is None or last <= self.head:
            return None
        dataset = self.plan.dataset
        if dataset in _BY_LOGS:
            reason = f"block range extends beyond current head block: {last} > {self.head}"
            message = f"Failed to get block: (code: -32602, message: {reason}, data: None)"
            return message if self.logs_past_head_fail else None
        if dataset in {"blocks", "transactions", "address_appearances"}:
            return "Collect failed: block not found"
        return f"Failed to get block: (code: -32000, message: block {last:#x} not found, data: None)"

    def _node_error(self, chunk: Chunk) -> str | None:
        """Return the error of a chunk that Cryo can't read from a node with these quirks, or None."""
        quirks, dataset = self.chain.quirks, self.plan.dataset
        lacks_receipts = quirks.no_receipts and dataset == "transactions"
        lacks_hashes = quirks.hydrated_blocks and dataset not in _READS_HYDRATED
        if not (lacks_receipts or lacks_hashes):
            return None
        if not any(self.chain.transactions(number) for number in chunk.blocks.numbers):
            return None
        if lacks_receipts:
            reason = "the method eth_getTransactionReceipt does not exist/is not available"
            return f"Failed to get block: (code: -32601, message: {reason}, data: None)"
        return "Failed to get block: deserialization error: invalid type: map, expected a hash"

    def _reading_error(self, chunk: Chunk) -> str | None:
        return None if self._reader is None else self._reader.error(sorted(chunk.blocks.numbers))

    def _write(self, chunk: Chunk, index: int) -> None:
        """Write one chunk's file, first under its temporary name, with the faults of the script."""
        faults = self.faults
        table = self._table(chunk, index)
        if faults.find("omit_chunk", chunk=index):
            return
        self._write_table(table, chunk.temporary)
        if faults.find("hang", when="during"):
            hang()
        if faults.find("leave_temporary", chunk=index):
            return
        faults.damage_file(chunk.temporary, index)
        chunk.temporary.rename(chunk.path)
        report_written(self._source, chunk.path)
        self.rows += table.num_rows

    def _table(self, chunk: Chunk, index: int) -> pa.Table:
        numbers = sorted(chunk.blocks.numbers)
        if self.head is not None:
            numbers = [number for number in numbers if number <= self.head]
        if omitted := self.faults.find("omit_blocks", chunk=index):
            numbers = [number for number in numbers if not omitted["first"] <= number <= omitted["last"]]
        if replaced := self.faults.find("replace_block"):
            numbers = [replaced["by"] if number == replaced["block"] else number for number in numbers]
        table = build(self.chain, self.plan.dataset, numbers)
        if omitted := self.faults.find("omit_rows", chunk=index):
            table = table.take([row for row in range(table.num_rows) if (row + 1) % omitted["every"]])
        if omitted := self.faults.find("omit_transactions", chunk=index):
            hashes = table["transaction_hash"].to_pylist()
            lost = set(list(dict.fromkeys(hashes))[omitted["every"] - 1 :: omitted["every"]])
            table = table.take([row for row, transaction_hash in enumerate(hashes) if transaction_hash not in lost])
        if self.faults.find("wrong_schema", chunk=index):
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
