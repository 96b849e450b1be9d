"""What a node can show about one block: its header, its receipts, its logs. Their consequences are `chain.py`'s."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.reference.bloom import ALL_SET, bloom_of
from harness.reference.bugs import bug
from harness.reference.rpc import RpcError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.reference.rpc import Endpoint

    Row = dict[str, Any]

UNUSABLE = (KeyError, TypeError, ValueError, AttributeError)
"""What reading an answer of the wrong shape raises."""


class NoEvidence(Exception):
    """The node can't show what is needed to confirm a block's rows; that says nothing about the rows."""


@dataclass(frozen=True, slots=True)
class Header:
    """A block's header, with the hashes of its transactions; a chain without blooms has `bloom` 0."""

    number: int
    hash: bytes
    transactions: list[bytes]
    gas_used: int
    bloom: int


@dataclass(frozen=True, slots=True)
class Receipts:
    """A block's receipts, or why there are none; `no_methods` if the node has no method for receipts at all."""

    found: list[Row] | None
    reason: str = ""
    no_methods: bool = False


def header_of(number: int, endpoint: Endpoint) -> Header:
    """Ask for a block's header.

    Raises:
        NoEvidence: the node does not have the block, or its answer can't be used.
    """
    try:
        found = endpoint.call("eth_getBlockByNumber", hex(number), False)  # noqa: FBT003 - JSON-RPC's positions
        if found is None:
            raise NoEvidence("the node does not have it")
        if int(found["number"], 16) != number:
            raise NoEvidence("the node answered with another block")
        return Header(
            number=number,
            hash=as_bytes(found["hash"]),
            # Some nodes send whole transactions though only hashes were asked for.
            transactions=[as_bytes(item["hash"] if isinstance(item, dict) else item) for item in found["transactions"]],
            gas_used=int(found["gasUsed"], 16),
            bloom=int(found.get("logsBloom") or "0x0", 16),
        )
    except RpcError as error:
        raise NoEvidence(f"the node does not give its header: {error}") from None
    except UNUSABLE as error:
        raise NoEvidence(f"its header can't be used ({type(error).__name__})") from None


def receipts_of(header: Header, endpoint: Endpoint) -> Receipts:
    """Ask for a block's receipts: all at once, else one for each transaction.

    They count if they are this block's and there is one for each of its transactions. Some chains have more, for logs
    that belong to the block itself.
    """
    reasons, lacks_method = [], []
    for ask in (_by_block, _one_by_one):
        try:
            found = ask(header, endpoint)
            _check_receipts(found, header)
        except RpcError as error:
            reasons.append(str(error))
            lacks_method.append(error.is_missing_method)
        except NoEvidence as problem:
            reasons.append(str(problem))
            lacks_method.append(False)
        except UNUSABLE as error:
            reasons.append(f"they can't be used ({type(error).__name__})")
            lacks_method.append(False)
        else:
            return Receipts(found)
    return Receipts(None, reasons[0], all(lacks_method))


def logs_by_hash(header: Header, endpoint: Endpoint) -> list[Row]:
    """Ask `eth_getLogs` for a block's logs by the block's hash.

    Raises:
        NoEvidence: it gives none, or another block's.
    """
    try:
        found: list[Row] = endpoint.call("eth_getLogs", {"blockHash": "0x" + header.hash.hex()})
        if any(as_bytes(log["blockHash"]) != header.hash for log in found):
            raise NoEvidence("eth_getLogs gives logs of another block")
    except RpcError as error:
        raise NoEvidence(f"eth_getLogs fails: {error}") from None
    except UNUSABLE as error:
        raise NoEvidence(f"the answer of eth_getLogs can't be used ({type(error).__name__})") from None
    return found


def bloom_of_logs(logs: Iterable[Row]) -> int:
    """Return the bloom that a header of these logs would have."""
    return bloom_of(as_bytes(item) for log in logs for item in (log["address"], *log["topics"]))


def as_bytes(text: str) -> bytes:
    """Read JSON-RPC's DATA."""
    return bytes.fromhex(text.removeprefix("0x"))


def _by_block(header: Header, endpoint: Endpoint) -> list[Row]:
    found: list[Row] | None = endpoint.call("eth_getBlockReceipts", hex(header.number))
    if found is None:
        raise NoEvidence("null instead of receipts")
    return found


def _one_by_one(header: Header, endpoint: Endpoint) -> list[Row]:
    found = []
    for each in header.transactions:
        receipt = endpoint.call("eth_getTransactionReceipt", "0x" + each.hex())
        if receipt is None:
            raise NoEvidence("null instead of a receipt")
        found.append(receipt)
    return found


def _check_receipts(found: list[Row], header: Header) -> None:
    """Check that receipts are complete.

    Raises:
        NoEvidence: they are another block's, or some are missing, or some have lost logs.
    """
    logs = [log for receipt in found for log in receipt["logs"]]
    if any(as_bytes(item["blockHash"]) != header.hash for item in (*found, *logs)):
        raise NoEvidence("they are another block's")
    hashes = [as_bytes(receipt["transactionHash"]) for receipt in found]
    is_complete = len(hashes) == len(set(hashes)) and set(header.transactions) <= set(hashes)
    if not is_complete and not bug("takes-too-few-receipts"):
        raise NoEvidence(f"{len(hashes)} receipts for {len(header.transactions)} transactions")
    for receipt in found:
        own = int(receipt.get("logsBloom") or "0x0", 16)
        if own != ALL_SET and own & ~bloom_of_logs(receipt["logs"]):
            raise NoEvidence("a receipt lacks logs that its own bloom holds")
