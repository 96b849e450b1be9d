"""What the proof needs of the answers that pass through the gateway: each block's header, and its receipts.

A header is kept as the JSON fields that `results.parse_header` reads, without the transactions themselves, so the proof
treats it like an answer of the node. So a block takes about a kilobyte, and 70 bytes for each transaction. Beyond
`MEMORY_BYTES` everything goes to an unnamed file in the staging directory, so memory does not grow with the range.
"""

from __future__ import annotations

import tempfile
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from cryo_ingest.errors import MachineFailed
from cryo_ingest.rpc.results import quantity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryo_ingest.ports import Call, Node

MEMORY_BYTES = 16 * 1024**2
ABSENT = -1


class BlockFields(msgspec.Struct, omit_defaults=True):
    """The fields of a block that a header consists of; `transactions` are hashes, or objects of which the hash is read.

    The first five are required.
    """

    number: str
    hash: str
    parentHash: str  # noqa: N815 - the name in the JSON, as those below
    gasUsed: str  # noqa: N815
    transactions: list[str | TransactionFields]
    logsBloom: str | None = None  # noqa: N815
    timestamp: str | None = None
    baseFeePerGas: str | None = None  # noqa: N815
    miner: str | None = None
    extraData: str | None = None  # noqa: N815

    def hashes(self) -> list[str]:
        """Return the hashes of the transactions, in order."""
        return [each if isinstance(each, str) else each.hash for each in self.transactions]


class TransactionFields(msgspec.Struct):
    """A full transaction, of which only the hash is read."""

    hash: str


class ReceiptFields(msgspec.Struct, omit_defaults=True):
    """The fields of a receipt that the proof of transactions needs; `logs` are left out."""

    transactionHash: str  # noqa: N815
    blockHash: str  # noqa: N815
    transactionIndex: str  # noqa: N815
    gasUsed: str  # noqa: N815
    status: str | None = None


@dataclass(slots=True)
class Records:
    """One record for each block of a range, in memory or in an unnamed file; a later record replaces an earlier one."""

    blocks: range
    directory: Path
    _places: array[int] = field(init=False)
    _file: tempfile.SpooledTemporaryFile[bytes] = field(init=False)
    _end: int = 0
    _at_end: bool = True

    def __post_init__(self) -> None:
        self._places = array("q", [ABSENT]) * (2 * len(self.blocks))
        self._file = tempfile.SpooledTemporaryFile(MEMORY_BYTES, dir=str(self.directory))  # noqa: SIM115 - closed by `close`

    def keep(self, number: int, value: object) -> None:
        """Keep the record of a block; blocks outside the range are ignored.

        Raises:
            MachineFailed: the disk is full.
        """
        if number not in self.blocks:
            return
        text = msgspec.msgpack.encode(value)
        try:
            if not self._at_end:
                self._file.seek(self._end)
                self._at_end = True
            self._file.write(text)
        except OSError as error:
            self._at_end = False
            raise MachineFailed(reason=error.strerror or type(error).__name__) from None
        index = 2 * (number - self.blocks.start)
        self._places[index], self._places[index + 1] = self._end, len(text)
        self._end += len(text)

    def __contains__(self, number: int) -> bool:
        return number in self.blocks and self._places[2 * (number - self.blocks.start)] != ABSENT

    def read(self, number: int) -> bytes | None:
        """Return the record of a block as msgpack, None if there is none."""
        if number not in self:
            return None
        index = 2 * (number - self.blocks.start)
        self._file.seek(self._places[index])
        self._at_end = False
        return self._file.read(self._places[index + 1])

    def close(self) -> None:
        """Free memory and disk."""
        self._file.close()


@dataclass(slots=True)
class Evidence:
    """The headers and receipts of a range that have passed through the gateway."""

    headers: Records
    receipts: Records

    @classmethod
    def of_range(cls, blocks: range, directory: Path) -> Evidence:
        """Return an empty collection for a range; `directory` is for what memory has no room for."""
        return cls(Records(blocks, directory), Records(blocks, directory))

    def header(self, number: int) -> BlockFields | None:
        """Return the header of a block, None if it has not passed."""
        record = self.headers.read(number)
        return None if record is None else _HEADER.decode(record)

    def answer(self, call: Call) -> object:
        """Return the answer to a call as a node would give it, None if it has not passed."""
        number = quantity(call.params[0]) if call.params else None
        if number is None:
            return None
        if call.method == "eth_getBlockByNumber":
            record = self.headers.read(number)
        elif call.method == "eth_getBlockReceipts":
            record = self.receipts.read(number)
        else:
            return None
        return None if record is None else msgspec.msgpack.decode(record)

    def close(self) -> None:
        """Free memory and disk."""
        self.headers.close()
        self.receipts.close()


_HEADER = msgspec.msgpack.Decoder(BlockFields)


@dataclass(slots=True)
class WithEvidence:
    """A node whose answers are taken from the evidence where it has them; implements `ports.Node`."""

    node: Node
    evidence: Evidence

    @property
    def name(self) -> str:
        """The name of the node."""
        return self.node.name

    @property
    def billed_calls(self) -> int:
        """The calls of the node."""
        return self.node.billed_calls

    async def request(self, calls: Sequence[Call], *, quick: bool = False, optional: bool = False) -> list[Any]:
        """Return answers from the evidence, and ask the node for the others; see `ports.Node`."""
        answers = [self.evidence.answer(call) for call in calls]
        missing = [index for index, answer in enumerate(answers) if answer is None]
        if missing:
            asked = await self.node.request([calls[index] for index in missing], quick=quick, optional=optional)
            for index, answer in zip(missing, asked, strict=True):
                answers[index] = answer
        return answers

    async def send(self, *arguments: Any, **options: Any) -> None:
        """Send calls to the node."""
        await self.node.send(*arguments, **options)
