"""Summaries of the datasets made of logs: `logs`, `erc20_transfers`, `erc721_transfers`. Imported late: loads pyarrow.

A block's rows are compared with its logs as a multiset: their number, and the sum of their digests.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from cryo_ingest.errors import ProofFailed
from cryo_ingest.prove.batches import batches
from cryo_ingest.prove.summaries import Mismatch, check_sizes
from cryo_ingest.rpc.bloom import TRANSFER_TOPIC, bloom_of_logs, may_contain
from cryo_ingest.rpc.results import ADDRESS_BYTES, HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from cryo_ingest.layout import Chunk
    from cryo_ingest.rpc.results import Header, Log, Receipt

ERC20_TOPICS, ERC20_DATA_BYTES = 3, 32
ERC721_TOPICS = 4


class LogRows:
    """The summary that these datasets share: each row's transaction and index, and the number of each block's rows.

    `columns` are compared with a block's logs, `screened` with its header.
    """

    columns: tuple[str, ...]
    screened: tuple[str, ...] = ()

    def __init__(self, path: Path, chunk: Chunk) -> None:
        self.blocks = list(range(chunk.start, chunk.end))
        self.transactions: dict[int, set[tuple[int, bytes]]] = defaultdict(set)
        self.counts: Counter[int] = Counter()
        self.indexes: dict[int, set[int]] = defaultdict(set)
        self._path = path
        self._digests: dict[int, int] | None = None
        names = ["block_number", "transaction_index", "log_index", "transaction_hash", *self.screened]
        decoded = [name for name in self.columns if name not in self.screened]
        for batch in batches(path, names, decoded=decoded):
            self._add_batch(path, batch)

    def _add_batch(self, path: Path, batch: dict[str, list[Any]]) -> None:
        """Add rows column by column, which costs a third of row by row."""
        numbers, indexes, log_indexes = batch["block_number"], batch["transaction_index"], batch["log_index"]
        if None in indexes or None in log_indexes:
            number = next(row[0] for row in zip(numbers, indexes, log_indexes, strict=True) if None in row)
            raise ProofFailed(file=path.name, evidence=f"block {number}: a row has no index in its block")
        check_sizes(batch["transaction_hash"], HASH_BYTES, path=path, numbers=numbers, what="transaction hash")
        self.counts.update(numbers)
        for number, log_index in zip(numbers, log_indexes, strict=True):
            self.indexes[number].add(log_index)
        for number, transaction in zip(numbers, zip(indexes, batch["transaction_hash"], strict=True), strict=True):
            self.transactions[number].add(transaction)
        self.add_batch(path, batch)

    def add_batch(self, path: Path, batch: dict[str, list[Any]]) -> None:
        """Add the screened columns to what a subclass keeps; by default nothing."""

    def row_of(self, log: Log) -> tuple[Any, ...] | None:
        """Return the row that Cryo writes for a log, without its log index; None if the dataset has none."""
        raise NotImplementedError

    def has_block_logs(self, header: Header) -> bool:
        """Return whether a row belongs to no transaction of the block, such as system logs and state syncs."""
        hashes = set(header.transactions)
        return any(each not in hashes for _, each in self.transactions.get(header.number, ()))

    def membership_mismatch(self, header: Header) -> Mismatch | None:
        """Find a row whose transaction is not at its index in the block."""
        for index, transaction_hash in sorted(self.transactions.get(header.number, ())):
            if header.transactions[index : index + 1] != (transaction_hash,):
                return Mismatch(f"a row's transaction is not the block's transaction {index}", heuristic=True)
        return None

    def compare_receipts(self, header: Header, receipts: Mapping[bytes, Receipt]) -> str | None:
        """Compare the logs of all receipts with the rows."""
        return self.compare_logs(header, (log for receipt in receipts.values() for log in receipt.logs))

    def compare_logs(self, header: Header, logs: Iterable[Log]) -> str | None:
        """Compare a block's logs with its rows, except for their log indexes, in which correct chains differ."""
        rows = [row for log in logs if (row := self.row_of(log)) is not None]
        if len(rows) != self.counts[header.number]:
            return f"it has {len(rows)} such logs, the file {self.counts[header.number]}"
        if self._digests is None:
            self._digests = self._read_digests()
        if sum(map(_digest, rows)) != self._digests.get(header.number, 0):
            return "its rows differ from the node's logs"
        return None

    def _read_digests(self) -> dict[int, int]:
        """Return each block's rows as a multiset: the sum of their digests.

        Most files have no block that must be compared with its logs, so this second reading is left for those that do.
        """
        names = ["block_number", "transaction_index", "transaction_hash", *self.columns]
        found: dict[int, int] = defaultdict(int)
        for batch in batches(self._path, names):
            for number, *row in zip(*(batch[name] for name in names), strict=True):
                found[number] += _digest(tuple(row))
        return found


def _digest(row: tuple[int | bytes | None, ...]) -> int:
    return int.from_bytes(hashlib.blake2b(repr(row).encode(), digest_size=16).digest(), "big")


class LogsSummary(LogRows):
    """`logs`: every row, the bloom computed from the rows, and the log indexes."""

    columns = ("address", "topic0", "topic1", "topic2", "topic3", "data")
    screened = columns[:-1]

    def __init__(self, path: Path, chunk: Chunk, *, dataset: str, digest: str) -> None:
        del dataset, digest
        self._blooms: dict[int, int] = defaultdict(int)
        super().__init__(path, chunk)

    def add_batch(self, path: Path, batch: dict[str, list[Any]]) -> None:
        """Add the rows to their blocks' blooms."""
        numbers, columns = batch["block_number"], [batch[name] for name in self.screened]
        for name, column in zip(self.screened, columns, strict=True):
            is_address = name == "address"
            size, what = (ADDRESS_BYTES, "address") if is_address else (HASH_BYTES, "topic")
            check_sizes(column, size, path=path, numbers=numbers, what=what, optional=True)
        items: dict[int, set[bytes | None]] = defaultdict(set)
        for number, *row in zip(numbers, *columns, strict=True):
            items[number].update(row)
        for number, found in items.items():
            self._blooms[number] |= bloom_of_logs([(item for item in found if item is not None)])

    def compare_header(self, header: Header) -> Mismatch | None:
        """Compare bloom, membership and log indexes: all three are heuristics."""
        number = header.number
        if header.bloom != self._blooms.get(number, 0):
            return Mismatch("the bloom of its rows differs from the header's", heuristic=True)
        mismatch = self.membership_mismatch(header)
        if mismatch is not None:
            return mismatch
        count = self.counts[number]
        indexes = self.indexes.get(number, set())
        if count and (len(indexes) != count or max(indexes) - min(indexes) != count - 1):
            return Mismatch("its log indexes have gaps or repeats", heuristic=True)
        return None

    def row_of(self, log: Log) -> tuple[Any, ...] | None:
        """Return a row for every log."""
        topics = (*log.topics, None, None, None, None)[:4]
        return (log.transaction_index, log.transaction_hash, log.address, *topics, log.data)


class TransfersSummary(LogRows):
    """`erc20_transfers`, `erc721_transfers`: every row, and blocks without rows whose bloom may have a transfer."""

    def __init__(self, path: Path, chunk: Chunk, *, dataset: str, digest: str) -> None:
        del digest
        self._erc20 = dataset == "erc20_transfers"
        amount = "value_binary" if self._erc20 else "token_id_binary"
        self.columns = ("erc20", "from_address", "to_address", amount)
        super().__init__(path, chunk)

    def compare_header(self, header: Header) -> Mismatch | None:
        """Compare membership and repeats, and the bloom of a block without rows: all three are heuristics."""
        mismatch = self.membership_mismatch(header)
        if mismatch is not None:
            return mismatch
        if not self.counts[header.number] and (header.bloom is None or may_contain(header.bloom, TRANSFER_TOPIC)):
            return Mismatch("its bloom may have a Transfer, but the file has none", heuristic=True)
        if self.counts[header.number] != len(self.indexes.get(header.number, ())):
            return Mismatch("its log indexes have repeats", heuristic=True)
        return None

    def row_of(self, log: Log) -> tuple[Any, ...] | None:
        """Return a row for each transfer of this kind."""
        topics, data = (ERC20_TOPICS, ERC20_DATA_BYTES) if self._erc20 else (ERC721_TOPICS, 0)
        if len(log.topics) != topics or len(log.data) != data or log.topics[0] != TRANSFER_TOPIC:
            return None
        amount = log.data if self._erc20 else log.topics[3]
        return (
            log.transaction_index,
            log.transaction_hash,
            log.address,
            log.topics[1][12:],
            log.topics[2][12:],
            amount,
        )
