"""The evidence of a node about one block: header, receipts, logs. `chain.py` compares it with the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.reference.bloom import ALL_SET, bloom_of
from harness.reference.bugs import has_bug
from harness.reference.rpc import RpcError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.reference.rpc import Node

    Row = dict[str, Any]

UNUSABLE = (KeyError, TypeError, ValueError, AttributeError)
"""The exceptions of parsing a malformed answer."""


class NoEvidence(Exception):
    """The node does not give the evidence for a block's rows, which may be right or wrong."""


@dataclass(frozen=True, slots=True)
class Header:
    """A block's header with the hashes of its transactions; `bloom` is 0 on a chain without blooms."""

    number: int
    hash: bytes
    transactions: list[bytes]
    gas_used: int
    bloom: int


@dataclass(frozen=True, slots=True)
class Receipts:
    """A block's receipts, or the reason why there are none; `no_methods`: the node has no method for receipts."""

    listed: list[Row] | None
    reason: str = ""
    no_methods: bool = False


def header_of(number: int, endpoint: Node) -> Header:
    """Request the header of a block.

    Raises:
        NoEvidence: the node does not have the block, or its answer is malformed.
    """
    try:
        block = endpoint.call("eth_getBlockByNumber", hex(number), False)  # noqa: FBT003 - JSON-RPC's positions
        if block is None:
            raise NoEvidence("the node does not have the block")
        if int(block["number"], 16) != number:
            raise NoEvidence("the node answered with another block")
        return Header(
            number=number,
            hash=as_bytes(block["hash"]),
            # Some nodes send full transactions although only hashes were requested.
            transactions=[as_bytes(item["hash"] if isinstance(item, dict) else item) for item in block["transactions"]],
            gas_used=int(block["gasUsed"], 16),
            bloom=int(block.get("logsBloom") or "0x0", 16),
        )
    except RpcError as error:
        raise NoEvidence(f"the request for the header failed: {error}") from None
    except UNUSABLE as error:
        raise NoEvidence(f"the header is malformed ({type(error).__name__})") from None


def receipts_of(header: Header, endpoint: Node) -> Receipts:
    """Request the receipts of a block: all at once, or else one for each transaction.

    They are accepted if they belong to this block and each of its transactions has one. Some chains have additional
    receipts, for logs that belong to no transaction.
    """
    reasons, lacks_method = [], []
    for ask in (_by_block, _one_by_one):
        try:
            receipts = ask(header, endpoint)
            _check_receipts(receipts, header)
        except RpcError as error:
            reasons.append(str(error))
            lacks_method.append(error.is_missing_method)
        except NoEvidence as problem:
            reasons.append(str(problem))
            lacks_method.append(False)
        except UNUSABLE as error:
            reasons.append(f"they are malformed ({type(error).__name__})")
            lacks_method.append(False)
        else:
            return Receipts(receipts)
    return Receipts(None, reasons[0], all(lacks_method))


def logs_by_hash(header: Header, endpoint: Node) -> list[Row]:
    """Request the logs of a block with `eth_getLogs` by the block's hash.

    Raises:
        NoEvidence: the call fails, or returns logs of another block.
    """
    try:
        logs: list[Row] = endpoint.call("eth_getLogs", {"blockHash": "0x" + header.hash.hex()})
        if any(as_bytes(log["blockHash"]) != header.hash for log in logs):
            raise NoEvidence("eth_getLogs returned logs of another block")
    except RpcError as error:
        raise NoEvidence(f"eth_getLogs fails: {error}") from None
    except UNUSABLE as error:
        raise NoEvidence(f"the answer of eth_getLogs is malformed ({type(error).__name__})") from None
    return logs


def bloom_of_logs(logs: Iterable[Row]) -> int:
    """Return the bloom of some logs."""
    return bloom_of(as_bytes(item) for log in logs for item in (log["address"], *log["topics"]))


def as_bytes(text: str) -> bytes:
    """Parse the type DATA of JSON-RPC."""
    return bytes.fromhex(text.removeprefix("0x"))


def _by_block(header: Header, endpoint: Node) -> list[Row]:
    receipts: list[Row] | None = endpoint.call("eth_getBlockReceipts", hex(header.number))
    if receipts is None:
        raise NoEvidence("null instead of receipts")
    return receipts


def _one_by_one(header: Header, endpoint: Node) -> list[Row]:
    receipts = []
    for transaction_hash in header.transactions:
        receipt = endpoint.call("eth_getTransactionReceipt", "0x" + transaction_hash.hex())
        if receipt is None:
            raise NoEvidence("null instead of a receipt")
        receipts.append(receipt)
    return receipts


def _check_receipts(receipts: list[Row], header: Header) -> None:
    """Check that receipts are complete.

    Raises:
        NoEvidence: they belong to another block, or receipts or logs are missing.
    """
    logs = [log for receipt in receipts for log in receipt["logs"]]
    if any(as_bytes(item["blockHash"]) != header.hash for item in (*receipts, *logs)):
        raise NoEvidence("they belong to another block")
    hashes = [as_bytes(receipt["transactionHash"]) for receipt in receipts]
    is_complete = len(hashes) == len(set(hashes)) and set(header.transactions) <= set(hashes)
    if not is_complete and not has_bug("takes-too-few-receipts"):
        raise NoEvidence(f"{len(hashes)} receipts for {len(header.transactions)} transactions")
    for receipt in receipts:
        own = int(receipt.get("logsBloom") or "0x0", 16)
        if own != ALL_SET and own & ~bloom_of_logs(receipt["logs"]):
            raise NoEvidence("a receipt lacks logs that are in its bloom")
