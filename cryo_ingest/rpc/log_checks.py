"""Checks the answers of `eth_getLogs`: every log is complete and in the range, and each block's bloom is explained.

A header's bloom has the bits of all logs of its block. So logs that a node has lost show, except on chains whose blooms
are never set or all set. A bloom can also have bits that no log explains (some chains have logs that belong to no
transaction), so such a block is only suspected, and asked for again; so is one whose log indexes have gaps.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from cryo_ingest.rpc.answer_checks import Problem
from cryo_ingest.rpc.bloom import ALL_SET, TRANSFER_TOPIC, bits_of, may_contain
from cryo_ingest.rpc.replies import JSON_ERRORS
from cryo_ingest.rpc.results import quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cryo_ingest.rpc.evidence import BlockFields


class LogFields(msgspec.Struct):
    """The fields of a log that Cryo needs; one without them is lost by Cryo in silence."""

    blockNumber: str  # noqa: N815 - the names in the JSON
    blockHash: str  # noqa: N815
    transactionHash: str  # noqa: N815
    transactionIndex: str  # noqa: N815
    logIndex: str  # noqa: N815
    address: str
    topics: list[str]
    removed: bool = False


_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_LOGS = msgspec.json.Decoder(list[LogFields])


@dataclass(slots=True)
class BlockLogs:
    """One block's logs: the JSON texts, their indexes, and the bits that they set in a bloom."""

    items: list[bytes] = field(default_factory=list)
    indexes: set[int | None] = field(default_factory=set)
    bloom: int = 0

    def has_gaps(self) -> bool:
        """Return whether the indexes have gaps or repeats, or are no numbers."""
        numbers = [index for index in self.indexes if index is not None]
        return len(numbers) != len(self.items) or max(numbers) - min(numbers) != len(numbers) - 1


def split_by_block(text: bytes, blocks: range) -> dict[int, BlockLogs] | Problem:
    """Return the logs of each block that has any, in their order, or what is wrong with the answer."""
    try:
        logs, items = _LOGS.decode(text), _LIST.decode(text)
    except JSON_ERRORS:
        return Problem("malformed", f"{_named(blocks)}: a log lacks required fields")
    found: dict[int, BlockLogs] = defaultdict(BlockLogs)
    number, text_of_number = None, ""
    for log, item in zip(logs, items, strict=True):
        if log.blockNumber != text_of_number:  # logs of one block follow each other
            number, text_of_number = quantity(log.blockNumber), log.blockNumber
        if number is None or number not in blocks:
            return Problem("other-block", f"{_named(blocks)}: a log belongs to another block")
        if log.removed:
            return Problem("removed-log", f"block {number}: a log was removed by a reorganisation")
        block = found[number]
        block.items.append(bytes(item))
        block.indexes.add(quantity(log.logIndex))
        block.bloom |= _bits(log.address)
        for topic in log.topics:
            block.bloom |= _bits(topic)
    return dict(found)


def _named(blocks: range) -> str:
    last = blocks.stop - 1
    return f"block {last}" if len(blocks) == 1 else f"blocks {blocks.start} to {last}"


def suspects(
    found: Mapping[int, BlockLogs], headers: Iterable[tuple[int, BlockFields]], *, transfers_only: bool
) -> list[int]:
    """Return the blocks whose logs do not explain the bloom of their header, or have gaps.

    With `transfers_only` the node was asked for logs with the topic of transfers alone.
    """
    suspected = []
    for number, header in headers:
        bloom = _bloom_of(header)
        if bloom in {0, ALL_SET}:
            continue
        logs = found.get(number)
        actual = 0 if logs is None else logs.bloom
        if transfers_only:
            if logs is None and may_contain(bloom, TRANSFER_TOPIC):
                suspected.append(number)
        elif actual != bloom or (logs is not None and logs.has_gaps()):
            suspected.append(number)
    return suspected


def _bloom_of(header: BlockFields) -> int:
    """Return the bloom as a number; 0, which nothing is compared with, if it is none."""
    try:
        return int(header.logsBloom or "0x0", 16)
    except ValueError:
        return 0


def join(found: Mapping[int, BlockLogs]) -> bytes:
    """Return the JSON text of all logs, in the order of their blocks."""
    return b"[" + b",".join(item for number in sorted(found) for item in found[number].items) + b"]"


@lru_cache(maxsize=1 << 15)
def _bits(text: str) -> int:
    """Return the bits of an address or topic in hexadecimal; text that is neither sets none."""
    try:
        return bits_of(bytes.fromhex(text[2:]))
    except ValueError:
        return 0
