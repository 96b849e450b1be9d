"""The proof of the datasets made of logs (RNG-4): `logs`, `erc20_transfers`, `erc721_transfers`.

Three heuristics find suspicious blocks: the bloom, the transactions of the rows, and the log indexes. Receipts decide
about a suspicious block. Without receipts, `eth_getLogs` decides only if the bloom of its answer equals the header's:
the rows come from the same method, so they lack the same logs that its answer lacks.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sha3

from harness.reference.bloom import ALL_SET, bloom_of, contains
from harness.reference.bugs import has_bug
from harness.reference.evidence import NoEvidence, as_bytes, bloom_of_logs, logs_by_hash, receipts_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.reference.evidence import Header, Receipts
    from harness.reference.rpc import Node

    Row = dict[str, Any]
    Key = tuple[Any, ...]

TRANSFER = sha3.keccak_256(b"Transfer(address,address,uint256)").digest()
TOPICS = ("topic0", "topic1", "topic2", "topic3")
COLUMNS = {
    "logs": ("address", "data", *TOPICS),
    "erc20_transfers": ("erc20", "from_address", "to_address", "value_binary"),
    "erc721_transfers": ("erc20", "from_address", "to_address", "token_id_binary"),
}
"""The columns that are compared, besides the transaction."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result for a block's rows: `problem` is what is wrong, or None.

    `is_unknown`: the node does not give enough evidence. `was_suspect`: a heuristic suspected correct rows.
    `rows_only`: only `eth_getLogs`, the source of the rows, confirmed them.
    """

    problem: str | None = None
    is_unknown: bool = False
    was_suspect: bool = False
    rows_only: bool = False


@dataclass(frozen=True, slots=True)
class Blooms:
    """Whether the blooms of a file's headers are useful: some chains set no bits, others all bits."""

    useful: bool
    unset: bool

    @classmethod
    def of(cls, headers: Iterable[Header]) -> Blooms:
        """Examine the blooms of all headers of a file."""
        blooms = {header.bloom for header in headers}
        return cls(useful=not blooms <= {0, ALL_SET}, unset=blooms <= {0})


@dataclass(frozen=True, slots=True)
class LogBlock:
    """One block of a file and its rows."""

    dataset: str
    header: Header
    rows: list[Row]
    blooms: Blooms

    def check(self, endpoint: Node, level: str) -> Verdict:
        """Compare the rows with the node's answers.

        Raises:
            NoEvidence: the node does not give enough evidence.
        """
        is_suspect = self._is_suspect()
        if self._has_unknown_transactions() and has_bug("refuses-block-logs"):
            return Verdict("a row's transaction is not at its index in the block")
        if not is_suspect and level != "receipts":
            return Verdict()
        receipts = receipts_of(self.header, endpoint)
        if receipts.listed is None and level == "receipts":
            raise NoEvidence(f"the node has no receipts for the block ({receipts.reason})")
        if receipts.listed is None:
            return self._by_logs(receipts, endpoint)
        listed = [log for receipt in receipts.listed for log in receipt["logs"]]
        return Verdict(self._by_receipts(listed, endpoint), was_suspect=is_suspect)

    def _is_suspect(self) -> bool:
        header, indexes = self.header, {row["log_index"] for row in self.rows}
        if self._has_unknown_transactions() or len(indexes) < len(self.rows):
            return True
        if self.blooms.unset and header.transactions:
            return True
        if self.dataset != "logs":
            return not self.rows and contains(header.bloom, TRANSFER)
        if self.rows and max(indexes) - min(indexes) >= len(self.rows):
            return True
        items = (row[column] for row in self.rows for column in ("address", *TOPICS))
        return bloom_of(item for item in items if item is not None) != header.bloom

    def _has_unknown_transactions(self) -> bool:
        """Return whether the transaction of a row is not at its index in the block."""
        transactions = {(row["transaction_index"], row["transaction_hash"]) for row in self.rows}
        return not transactions <= set(enumerate(self.header.transactions))

    def _by_receipts(self, listed: list[Row], endpoint: Node) -> str | None:
        """Compare the rows with the logs of all receipts, which may lack logs that belong to no transaction."""
        expected, found = _keys_of_logs(self.dataset, listed), self._keys()
        if missing := (expected - found).total():
            return f"{missing} logs of its receipts are missing"
        extra = found - expected
        if not self._are_outside(extra):
            return f"{extra.total()} rows are not in its receipts"
        if not extra and (not self._unexplained(listed) or has_bug("takes-too-few-receipts")):
            return None
        return self._by_both(listed, extra, endpoint)

    def _by_both(self, listed: list[Row], extra: Counter[Key], endpoint: Node) -> str | None:
        """Compare `extra`, the rows that are in no receipt, with the logs of `eth_getLogs` that have no transaction."""
        try:
            own = [log for log in logs_by_hash(self.header, endpoint) if self._is_outside(log)]
        except NoEvidence:
            if extra or not listed:
                raise
            return None
        if extra != _keys_of_logs(self.dataset, own) - _keys_of_logs(self.dataset, listed):
            return "its logs without a transaction differ from those of the node"
        if not listed and self._unexplained(own):
            return "its bloom contains logs that the node does not return"
        return None

    def _by_logs(self, receipts: Receipts, endpoint: Node) -> Verdict:
        """Compare the rows with `eth_getLogs` if there are no receipts."""
        logs = logs_by_hash(self.header, endpoint)
        is_explained = self.blooms.useful and bloom_of_logs(logs) == self.header.bloom
        rows_only = not self.blooms.useful and receipts.no_methods
        if not (is_explained or rows_only or has_bug("trusts-logs-by-hash")):
            raise NoEvidence(f"the node has no receipts for the block ({receipts.reason})")
        expected, found = _keys_of_logs(self.dataset, logs), self._keys()
        problem = None
        if expected != found:
            problem = f"the {found.total()} rows are not the {expected.total()} logs of the node"
        return Verdict(problem, was_suspect=True, rows_only=rows_only)

    def _unexplained(self, logs: list[Row]) -> bool:
        return self.blooms.useful and self.header.bloom & ~bloom_of_logs(logs) != 0

    def _is_outside(self, log: Row) -> bool:
        return as_bytes(log["transactionHash"]) not in self.header.transactions

    def _are_outside(self, keys: Counter[Key]) -> bool:
        return all(transaction_hash not in self.header.transactions for _, transaction_hash, *_ in keys)

    def _keys(self) -> Counter[Key]:
        columns = ("transaction_index", "transaction_hash", *COLUMNS[self.dataset])
        return Counter(tuple(row[column] for column in columns) for row in self.rows)


def _keys_of_logs(dataset: str, logs: Iterable[Row]) -> Counter[Key]:
    """Return the compared columns of the rows that Cryo makes from logs, with the number of each."""
    keys = (_key(dataset, log) for log in logs)
    return Counter(key for key in keys if key is not None)


def _key(dataset: str, log: Row) -> Key | None:
    transaction = (int(log["transactionIndex"], 16), as_bytes(log["transactionHash"]), as_bytes(log["address"]))
    topics, data = [as_bytes(topic) for topic in log["topics"]], as_bytes(log["data"])
    if dataset == "logs":
        return (*transaction, data, *(*topics, None, None, None, None)[:4])
    # Cryo distinguishes the two kinds of Transfer by topics and data: ERC-20 has the value in the data.
    shape = (3, 32) if dataset == "erc20_transfers" else (4, 0)
    if (len(topics), len(data)) != shape or topics[0] != TRANSFER:
        return None
    return (*transaction, topics[1][12:], topics[2][12:], data or topics[3])
