"""Summaries of the datasets made of logs: `logs`, `erc20_transfers`, `erc721_transfers`. Imported late: loads pyarrow.

A block's rows are kept as a multiset (their number and the sum of their digests), a few bytes that a block's logs can
be compared with.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from cryo_ingest.errors import ProofFailed
from cryo_ingest.prove.batches import batches
from cryo_ingest.prove.summaries import Mismatch, check_size
from cryo_ingest.rpc.bloom import TRANSFER_TOPIC, bits_of, may_contain
from cryo_ingest.rpc.results import ADDRESS_BYTES, HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from cryo_ingest.layout import Chunk
    from cryo_ingest.rpc.results import Header, Log, Receipt

ERC20_TOPICS, ERC20_DATA_BYTES = 3, 32
ERC721_TOPICS = 4


class LogRows:
    """The summary that these datasets share: each row's transaction, and each block's rows as a multiset."""

    columns: tuple[str, ...]

    def __init__(self, path: Path, chunk: Chunk) -> None:
        self.blocks = list(range(chunk.start, chunk.end))
        self.transactions: dict[int, set[tuple[int, bytes]]] = defaultdict(set)
        self.rows: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        self.indexes: dict[int, set[int]] = defaultdict(set)
        names = ["block_number", "transaction_index", "log_index", "transaction_hash", *self.columns]
        for batch in batches(path, names):
            for number, index, log_index, transaction_hash, *rest in zip(*(batch[name] for name in names), strict=True):
                if index is None or log_index is None:
                    raise ProofFailed(file=path.name, evidence=f"block {number}: a row has no index in its block")
                check_size(transaction_hash, HASH_BYTES, path=path, number=number)
                self.transactions[number].add((index, transaction_hash))
                self.indexes[number].add(log_index)
                _add(self.rows[number], index, transaction_hash, *rest)
                self.add_row(path, number, rest)

    def add_row(self, path: Path, number: int, rest: list[Any]) -> None:
        """Add a row to what a subclass keeps; by default nothing."""

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
        expected = [0, 0]
        for row in map(self.row_of, logs):
            if row is not None:
                _add(expected, *row)
        actual = self.rows.get(header.number, [0, 0])
        if actual[0] != expected[0]:
            return f"it has {expected[0]} such logs, the file {actual[0]}"
        return None if actual == expected else "its rows differ from the node's logs"


def _add(sums: list[int], *row: int | bytes | None) -> None:
    """Add a row to a multiset: its number of rows, and the sum of their digests."""
    sums[0] += 1
    sums[1] += int.from_bytes(hashlib.blake2b(repr(row).encode(), digest_size=16).digest(), "big")


class LogsSummary(LogRows):
    """`logs`: every row, the bloom computed from the rows, and the log indexes."""

    columns = ("address", "topic0", "topic1", "topic2", "topic3", "data")

    def __init__(self, path: Path, chunk: Chunk, *, dataset: str, digest: str) -> None:
        del dataset, digest
        self._blooms: dict[int, int] = defaultdict(int)
        super().__init__(path, chunk)

    def add_row(self, path: Path, number: int, rest: list[Any]) -> None:
        """Add a row to its block's bloom."""
        address, *topics, _ = rest
        if address is not None:
            self._blooms[number] |= bits_of(
                check_size(address, ADDRESS_BYTES, path=path, number=number, what="address")
            )
        for topic in topics:
            if topic is not None:
                self._blooms[number] |= bits_of(check_size(topic, HASH_BYTES, path=path, number=number, what="topic"))

    def compare_header(self, header: Header) -> Mismatch | None:
        """Compare bloom, membership and log indexes: all three are heuristics."""
        number = header.number
        if header.bloom != self._blooms.get(number, 0):
            return Mismatch("the bloom of its rows differs from the header's", heuristic=True)
        mismatch = self.membership_mismatch(header)
        if mismatch is not None:
            return mismatch
        count = self.rows[number][0] if number in self.rows else 0
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
        if header.number not in self.rows and (header.bloom is None or may_contain(header.bloom, TRANSFER_TOPIC)):
            return Mismatch("its bloom may have a Transfer, but the file has none", heuristic=True)
        if header.number in self.rows and len(self.indexes[header.number]) != self.rows[header.number][0]:
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
