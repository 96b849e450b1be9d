"""Checks the answers of nodes as they pass to Cryo, which accepts nearly everything and loses rows in silence.

A check decodes only the fields that it compares. What it finds is definite (no correct node answers so), or it is a
suspicion that also arises on correct chains; then the answer passes if the node repeats it, and the proof decides.
Header and receipts that pass are kept as evidence. Logs are in `log_checks`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from cryo_ingest.rpc.evidence import BlockFields, ReceiptFields
from cryo_ingest.rpc.replies import JSON_ERRORS
from cryo_ingest.rpc.results import quantity

if TYPE_CHECKING:
    from cryo_ingest.ports import Call
    from cryo_ingest.rpc.evidence import Evidence

BLOCK, RECEIPTS = "eth_getBlockByNumber", "eth_getBlockReceipts"
BY_TRANSACTION = frozenset(("debug_traceBlockByNumber", "trace_replayBlockTransactions"))
"""Methods whose result has one item for each transaction of the block."""

TRACES = "trace_block"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an answer is not passed on at once; `kind` is for counters, `text` for messages.

    `null_passes`: if the node repeats it, Cryo gets `null`, and asks in another way.
    """

    kind: str
    text: str
    definite: bool = True
    null_passes: bool = False


class _Trace(msgspec.Struct):
    blockNumber: int | None = None  # noqa: N815 - the name in the JSON
    transactionHash: str | None = None  # noqa: N815


_BLOCK = msgspec.json.Decoder(BlockFields)
_RECEIPT_LIST = msgspec.json.Decoder(list[ReceiptFields])
_TRACE_LIST = msgspec.json.Decoder(list[_Trace])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(slots=True)
class AnswerChecks:
    """The checks of one attempt; without `evidence` only those that need no other answer."""

    evidence: Evidence | None = None
    _by_method: dict[str, Callable[[int, bytes], Problem | None]] = field(init=False)

    def __post_init__(self) -> None:
        self._by_method = {
            BLOCK: self._block,
            RECEIPTS: self._receipts,
            TRACES: self._traces,
            **dict.fromkeys(BY_TRANSACTION, self._by_transaction),
        }

    def check(self, call: Call, text: bytes) -> Problem | None:
        """Check an answer, and keep it as evidence if it is good."""
        check = self._by_method.get(call.method)
        number = quantity(call.params[0]) if check is not None and call.params else None
        if check is None or number is None:
            return None
        try:
            return check(number, text)
        except JSON_ERRORS:
            return Problem("malformed", f"block {number}: its answer lacks required fields")

    def _block(self, number: int, text: bytes) -> Problem | None:
        if text == b"null":
            return Problem("missing-block", f"block {number}: it answers null")
        block = _BLOCK.decode(text)
        actual = quantity(block.number)
        if actual != number:
            return Problem("other-block", f"block {number}: it answers with block {actual}")
        if self.evidence is not None:
            block.transactions = list(block.hashes())
            self.evidence.headers.keep(number, block)
        return None

    def _receipts(self, number: int, text: bytes) -> Problem | None:
        if text == b"null":
            return Problem("missing-receipts", f"block {number}: it has no receipts", null_passes=True)
        receipts = _RECEIPT_LIST.decode(text)
        header = None if self.evidence is None else self.evidence.header(number)
        if header is None or self.evidence is None:
            return None
        hashes = header.hashes()
        if [receipt.transactionHash for receipt in receipts[: len(hashes)]] != hashes:
            found = (
                f"block {number}: its {len(receipts)} receipts are not those of its {len(hashes)} transactions in order"
            )
            return Problem("other-receipts", found, null_passes=True)
        if any(receipt.blockHash != header.hash for receipt in receipts):
            return Problem("other-receipts", f"block {number}: a receipt has another block's hash", null_passes=True)
        self.evidence.receipts.keep(number, [{**msgspec.to_builtins(receipt), "logs": []} for receipt in receipts])
        return None

    def _by_transaction(self, number: int, text: bytes) -> Problem | None:
        if text == b"null":
            return Problem("missing-traces", f"block {number}: it has no traces")
        items = _ITEMS.decode(text)
        header = None if self.evidence is None else self.evidence.header(number)
        if header is not None and len(items) != len(header.transactions):
            found = f"block {number}: it has {len(header.transactions)} transactions, the answer {len(items)}"
            return Problem("missing-traces", found)
        return None

    def _traces(self, number: int, text: bytes) -> Problem | None:
        if text == b"null":
            return Problem("missing-traces", f"block {number}: it has no traces")
        traces = _TRACE_LIST.decode(text)
        if any(trace.blockNumber not in {None, number} for trace in traces):
            return Problem("other-block", f"block {number}: a trace belongs to another block")
        header = None if self.evidence is None else self.evidence.header(number)
        if header is None:
            return None
        missing = set(header.hashes()) - {trace.transactionHash for trace in traces}
        if missing:
            # Some chains have system transactions without a trace.
            found = f"block {number}: {len(missing)} of its transactions have no trace"
            return Problem("missing-traces", found, definite=False)
        return None
