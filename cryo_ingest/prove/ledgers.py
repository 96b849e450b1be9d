"""What a file says of its blocks, summed up so that a node's answers can be held against it. Loads pyarrow, so late.

A ledger reads its file batch by batch and keeps some bytes a block. `blocks` are those to ask for, `accuse` holds a
header against the rows, `settle` the block's true logs and receipts. An accusation that is only a screen, as blooms and
log indexes are, is no verdict: several chains break them.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Protocol

from cryo_ingest.errors import ProofFailed
from cryo_ingest.prove import footer
from cryo_ingest.prove.answers import ADDRESS_BYTES, HASH_BYTES
from cryo_ingest.prove.batches import batches
from cryo_ingest.prove.bloom import TRANSFER_TOPIC, bits_of, may_hold
from cryo_ingest.prove.evidence import Accusation

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cryo_ingest.layout import Chunk
    from cryo_ingest.prove.answers import Header, Log, Receipt

SAMPLED_BLOCKS = 30
"""Blocks of a file of `blocks` that are looked at besides its ends; each shows its lower neighbour's hash too."""

ERC20_TOPICS, ERC20_DATA_BYTES = 3, 32
ERC721_TOPICS = 4


class Ledger(Protocol):
    """One file's summary; see the module."""

    blocks: list[int]

    def accuse(self, header: Header) -> Accusation | None:
        """Hold a block's header against the file's rows."""
        ...

    def settle(self, header: Header, logs: Iterable[Log], receipts: dict[bytes, Receipt] | None) -> str | None:
        """Hold a block's true logs, and receipts where there are some, against the rows; None where they agree."""
        ...


def open_ledger(path: Path, chunk: Chunk, *, dataset: str, digest: str) -> Ledger:
    """Sum a file up that was proved by rows; `digest` picks the sampled blocks, so that attempts pick the same.

    Raises:
        ProofFailed: its rows can't be read.
    """
    makers: dict[str, Any] = {
        "blocks": BlocksLedger,
        "transactions": TransactionsLedger,
        "logs": LogsLedger,
        "traces": TracesLedger,
        "geth_calls": TracesLedger,
    }
    try:
        ledger: Ledger = makers.get(dataset, TransfersLedger)(path, chunk, dataset=dataset, digest=digest)
    except footer.UNREADABLE as error:
        evidence = f"its rows can't be read ({footer.first_line(error)})"
        raise ProofFailed(file=path.name, evidence=evidence) from None
    return ledger


def _sized(value: bytes | None, size: int, *, path: Path, number: int, what: str = "transaction hash") -> bytes:
    """Return a value that is kept, once its length is the only one that it can have."""
    if value is None or len(value) != size:
        raise ProofFailed(file=path.name, evidence=f"block {number}: a row's {what} is not {size} bytes")
    return value


class BlocksLedger:
    """`blocks`: whole rows at both ends and at sampled blocks, and the hashes below them."""

    _FIELDS = ("block_hash", "gas_used", "timestamp", "base_fee_per_gas", "author", "extra_data")

    def __init__(self, path: Path, chunk: Chunk, *, dataset: str, digest: str) -> None:
        del dataset
        span = range(chunk.start, chunk.end)
        draws = hashlib.shake_128(digest.encode()).digest(4 * SAMPLED_BLOCKS)
        drawn = (int.from_bytes(draws[place : place + 4], "big") for place in range(0, len(draws), 4))
        wanted = {chunk.start, chunk.end - 1, *(span[number % len(span)] for number in drawn)}
        self.blocks = sorted(wanted)
        self._rows: dict[int, dict[str, Any]] = {}
        for batch in batches(path, ["block_number", *self._FIELDS]):
            for place, number in enumerate(batch["block_number"]):
                if number in wanted or number + 1 in wanted:
                    self._rows[number] = {name: batch[name][place] for name in self._FIELDS}

    def accuse(self, header: Header) -> Accusation | None:
        """Compare the sampled row, and the hash of the row below it."""
        row = self._rows[header.number]
        said = {"block_hash": header.hash, "gas_used": header.gas_used}
        optional = {name: getattr(header, name) for name in ("timestamp", "author", "extra_data", "base_fee_per_gas")}
        said |= {name: value for name, value in optional.items() if value is not None}
        wrong = [name for name, value in said.items() if row[name] != value]
        if wrong:
            return Accusation(f"its {', '.join(wrong)} {'differs' if len(wrong) == 1 else 'differ'} from the node's")
        below = self._rows.get(header.number - 1)
        if below is not None and below["block_hash"] != header.parent_hash:
            return Accusation(f"its parent is not the row of block {header.number - 1}")
        return None

    def settle(self, header: Header, logs: Iterable[Log], receipts: dict[bytes, Receipt] | None) -> str | None:
        """Receipts say no more of it."""
        del header, logs, receipts
        return None


class TransactionsLedger:
    """`transactions`: each block's hashes in order; gas used and success against receipts."""

    def __init__(self, path: Path, chunk: Chunk, *, dataset: str, digest: str) -> None:
        del dataset, digest
        self.blocks = list(range(chunk.start, chunk.end))
        rows: dict[int, list[tuple[int, bytes, int, bool]]] = defaultdict(list)
        columns = ["block_number", "transaction_index", "transaction_hash", "gas_used", "success"]
        for batch in batches(path, columns):
            for number, index, transaction_hash, *row in zip(*(batch[name] for name in columns), strict=True):
                rows[number].append((index, _sized(transaction_hash, HASH_BYTES, path=path, number=number), *row))
        self._rows = {number: sorted(found, key=lambda row: row[0]) for number, found in rows.items()}

    def accuse(self, header: Header) -> Accusation | None:
        """Compare the hashes in order."""
        hashes = tuple(row[1] for row in self._rows.get(header.number, ()))
        if hashes == header.transactions:
            return None
        if len(hashes) != len(header.transactions):
            return Accusation(f"it has {len(header.transactions)} transactions, the file {len(hashes)}")
        return Accusation("its transactions are not those of the file, or in another order")

    def settle(self, header: Header, logs: Iterable[Log], receipts: dict[bytes, Receipt] | None) -> str | None:
        """Compare gas and success, transaction by transaction."""
        del logs
        if receipts is None:
            return "there are no receipts"
        for index, transaction_hash, gas_used, success in self._rows.get(header.number, ()):
            receipt = receipts[transaction_hash]
            if receipt.gas_used != gas_used:
                return f"the gas used by transaction {index} is not its receipt's"
            if receipt.success is not None and receipt.success != success:
                return f"the success of transaction {index} is not its receipt's"
        return None


class _LogRows:
    """What the datasets made of logs have in common: membership in the block, and rows as a multiset."""

    columns: tuple[str, ...]

    def __init__(self, path: Path, chunk: Chunk) -> None:
        self.blocks = list(range(chunk.start, chunk.end))
        self.members: dict[int, set[tuple[int, bytes]]] = defaultdict(set)
        self.rows: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
        self.indexes: dict[int, set[int]] = defaultdict(set)
        names = ["block_number", "transaction_index", "log_index", "transaction_hash", *self.columns]
        for batch in batches(path, names):
            for number, index, log_index, transaction_hash, *rest in zip(*(batch[name] for name in names), strict=True):
                if index is None or log_index is None:
                    raise ProofFailed(file=path.name, evidence=f"block {number}: a row has no place in its block")
                _sized(transaction_hash, HASH_BYTES, path=path, number=number)
                self.members[number].add((index, transaction_hash))
                self.indexes[number].add(log_index)
                self._add(self.rows[number], index, log_index, transaction_hash, *rest)
                self.note(path, number, rest)

    def note(self, path: Path, number: int, rest: list[Any]) -> None:
        """Take more of a row down."""

    @staticmethod
    def _add(sums: list[int], index: int, log_index: int, *rest: bytes | None) -> None:
        """Add a row to a block's multiset: how many, and the sums of digests with and without the log's index."""
        row = repr((index, *rest)).encode()
        sums[0] += 1
        sums[1] += int.from_bytes(hashlib.blake2b(b"%r " % log_index + row, digest_size=16).digest(), "big")
        sums[2] += int.from_bytes(hashlib.blake2b(row, digest_size=16).digest(), "big")

    def stranger(self, header: Header) -> Accusation | None:
        """Find a row whose transaction is not in the block at its index."""
        for index, transaction_hash in sorted(self.members.get(header.number, ())):
            if header.transactions[index : index + 1] != (transaction_hash,):
                return Accusation(f"a row's transaction is not the block's transaction {index}")
        return None

    def differs(self, number: int, true_rows: Iterable[tuple[Any, ...]]) -> str | None:
        """Compare a block's rows with the true ones; a log index that alone differs is the chain's own oddity."""
        true = [0, 0, 0]
        for row in true_rows:
            self._add(true, *row)
        seen = self.rows.get(number, [0, 0, 0])
        if seen[0] != true[0]:
            return f"it has {true[0]} of them, the file {seen[0]}"
        return None if seen[2] == true[2] else "its rows are not the node's"


class LogsLedger(_LogRows):
    """`logs`: membership, then the rebuilt bloom and the log indexes as screens."""

    columns = ("address", "topic0", "topic1", "topic2", "topic3", "data")

    def __init__(self, path: Path, chunk: Chunk, *, dataset: str, digest: str) -> None:
        del dataset, digest
        self._blooms: dict[int, int] = defaultdict(int)
        super().__init__(path, chunk)

    def note(self, path: Path, number: int, rest: list[Any]) -> None:
        """Add a row to its block's bloom."""
        address, *topics, _ = rest
        if address is not None:
            self._blooms[number] |= bits_of(_sized(address, ADDRESS_BYTES, path=path, number=number, what="address"))
        for topic in topics:
            if topic is not None:
                self._blooms[number] |= bits_of(_sized(topic, HASH_BYTES, path=path, number=number, what="topic"))

    def accuse(self, header: Header) -> Accusation | None:
        """Look for strangers, then compare bloom and indexes."""
        number = header.number
        stranger = self.stranger(header)
        if stranger is not None:
            return stranger
        if header.bloom != self._blooms.get(number, 0):
            return Accusation("the bloom of its rows is not the header's", screen=True)
        count = self.rows[number][0] if number in self.rows else 0
        indexes = self.indexes.get(number, set())
        if count and (len(indexes) != count or max(indexes) - min(indexes) != count - 1):
            return Accusation("its log indexes have gaps or repeats", screen=True)
        return None

    def settle(self, header: Header, logs: Iterable[Log], receipts: dict[bytes, Receipt] | None) -> str | None:
        """Compare all rows."""
        del receipts
        return self.differs(header.number, (_log_row(log) for log in logs))


def _log_row(log: Log) -> tuple[Any, ...]:
    topics = (*log.topics, None, None, None, None)[:4]
    return (log.transaction_index, log.log_index, log.transaction_hash, log.address, *topics, log.data)


class TransfersLedger(_LogRows):
    """`erc20_transfers`, `erc721_transfers`: membership, and a screen for blocks that may hold some but give no row."""

    def __init__(self, path: Path, chunk: Chunk, *, dataset: str, digest: str) -> None:
        del digest
        self._erc20 = dataset == "erc20_transfers"
        amount = "value_binary" if self._erc20 else "token_id_binary"
        self.columns = ("erc20", "from_address", "to_address", amount)
        super().__init__(path, chunk)

    def accuse(self, header: Header) -> Accusation | None:
        """Look for strangers, then ask the bloom of a block without rows."""
        stranger = self.stranger(header)
        if stranger is not None:
            return stranger
        if header.number not in self.rows and (header.bloom is None or may_hold(header.bloom, TRANSFER_TOPIC)):
            return Accusation("its bloom may hold a Transfer, the file has none", screen=True)
        if header.number in self.rows and len(self.indexes[header.number]) != self.rows[header.number][0]:
            return Accusation("its log indexes have repeats", screen=True)
        return None

    def settle(self, header: Header, logs: Iterable[Log], receipts: dict[bytes, Receipt] | None) -> str | None:
        """Compare all transfers of this kind."""
        del receipts
        return self.differs(header.number, (self._row(log) for log in logs if self._is_one(log)))

    def _is_one(self, log: Log) -> bool:
        topics, data = (ERC20_TOPICS, ERC20_DATA_BYTES) if self._erc20 else (ERC721_TOPICS, 0)
        return len(log.topics) == topics and len(log.data) == data and log.topics[0] == TRANSFER_TOPIC

    def _row(self, log: Log) -> tuple[Any, ...]:
        amount = log.data if self._erc20 else log.topics[3]
        place = (log.transaction_index, log.log_index, log.transaction_hash)
        return (*place, log.address, log.topics[1][12:], log.topics[2][12:], amount)


class TracesLedger:
    """`traces`, `geth_calls`: rows in every block that used gas, of transactions that are the block's."""

    def __init__(self, path: Path, chunk: Chunk, *, dataset: str, digest: str) -> None:
        del dataset, digest
        self.blocks = list(range(chunk.start, chunk.end))
        self._transactions: dict[int, set[bytes | None]] = defaultdict(set)
        columns = ["block_number", "transaction_hash"]
        for batch in batches(path, columns):
            for number, transaction_hash in zip(*(batch[name] for name in columns), strict=True):
                if transaction_hash is not None:
                    _sized(transaction_hash, HASH_BYTES, path=path, number=number)
                self._transactions[number].add(transaction_hash)

    def accuse(self, header: Header) -> Accusation | None:
        """Look for a block that used gas and has no row, and for strangers; a reward has no transaction."""
        seen = self._transactions.get(header.number, set()) - {None}
        if header.gas_used and not seen:
            return Accusation(f"it used {header.gas_used} gas, the file has no row of it")
        if not seen <= set(header.transactions):
            return Accusation("a row's transaction is not in the block")
        return None

    def settle(self, header: Header, logs: Iterable[Log], receipts: dict[bytes, Receipt] | None) -> str | None:
        """Receipts say no more of it."""
        del header, logs, receipts
        return None
