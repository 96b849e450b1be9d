"""Levels `chain` and `receipts`: a node's own word on the blocks of a file, asked after Cryo has ended (RNG-4).

A contradiction is looked at twice before it is a verdict, and a screen is settled by receipts, then by `eth_getLogs`
with the block's hash. What the rows are summed up to is `ledgers.py`'s, how a node is asked `evidence.py`'s.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cryo_ingest.errors import ProofFailed
from cryo_ingest.logs import log
from cryo_ingest.prove.endpoint import refuse_chain
from cryo_ingest.prove.evidence import Evidence
from cryo_ingest.settings import at_least

if TYPE_CHECKING:
    from pathlib import Path

    from cryo_ingest.layout import Chunk
    from cryo_ingest.ports import FileProof, Node
    from cryo_ingest.prove.endpoint import Endpoint
    from cryo_ingest.prove.evidence import Verdict
    from cryo_ingest.prove.ledgers import Ledger
    from cryo_ingest.prove.rows import RowsProof
    from cryo_ingest.settings import Coverage

WINDOW_BLOCKS = 400
"""Blocks whose evidence is held at once."""

LISTED_BLOCKS = 5


@dataclass(slots=True)
class ChainProof:
    """Proves files of one task by their rows and then by what the attempt's endpoint says; see `ports.Proof`."""

    rows: RowsProof
    endpoint: Endpoint
    level: Coverage
    _confirmed: dict[str, FileProof] = field(default_factory=dict)
    _ends: dict[int, bytes] = field(default_factory=dict)
    _parents: dict[int, bytes] = field(default_factory=dict)

    async def prove(self, path: Path, chunk: Chunk) -> FileProof:
        """Prove one file by its rows: Cryo may still be running."""
        return await self.rows.prove(path, chunk)

    async def same_rows(self, left: Path, right: Path) -> bool:
        """Compare two files as multisets of rows."""
        return await self.rows.same_rows(left, right)

    def is_fake(self, footer: bytes) -> bool | None:
        """Read the mark of MOD-5."""
        return self.rows.is_fake(footer)

    async def confirm(self, path: Path, chunk: Chunk, seen: FileProof, *, recorded: str | None = None) -> FileProof:
        """Hold the node's evidence against one file; equal bytes that were confirmed before count, as does a record."""
        known = self._confirmed.get(seen.sha256)
        if known is not None:
            return known
        if recorded in at_least(self.level):
            return replace(seen, evidence=recorded)
        node = await self.endpoint.choose()
        billed = node.billed_calls
        await refuse_chain(node, self.rows.task.chain_id)
        ledger = await asyncio.to_thread(_ledger, path, chunk, self.rows.dataset.name, seen.sha256)
        evidence = Evidence(node, receipts_for_all=self.level == "receipts")
        digest = hashlib.sha256()
        for start in range(0, len(ledger.blocks), WINDOW_BLOCKS):
            window = ledger.blocks[start : start + WINDOW_BLOCKS]
            for number, seal in await self._judge(evidence, ledger, window, path.name):
                digest.update(number.to_bytes(8, "big") + seal)
        self._refuse_torn(evidence, chunk, path.name)
        details = {"blocks": str(len(ledger.blocks)), "digest": digest.hexdigest()}
        if evidence.settled:
            details["settled"] = str(evidence.settled)
        log.info(
            "file.confirmed",
            file=path.name,
            evidence=self.level,
            blocks=len(ledger.blocks),
            settled=evidence.settled,
            example=evidence.example,
            billed_calls=node.billed_calls - billed,
        )
        confirmed = replace(seen, evidence=self.level, details=details)
        self._confirmed[seen.sha256] = confirmed
        return confirmed

    async def _judge(self, evidence: Evidence, ledger: Ledger, window: list[int], name: str) -> list[tuple[int, bytes]]:
        """Return number and hash of each block of a window once the node bears the rows out."""
        first = await evidence.judge(ledger, window)
        accused = [number for number in window if first[number].problem is not None]
        if accused:
            again = await evidence.judge(ledger, accused)
            accused = [number for number in accused if again[number].problem is not None]
            evidence.settled += sum(again[number].problem is None for number in again)
            if accused:
                raise ProofFailed(file=name, evidence=_words(evidence.node, accused, first, again))
            first |= again
        return [(number, evidence.headers[number].hash) for number in window]

    def _refuse_torn(self, evidence: Evidence, chunk: Chunk, name: str) -> None:
        """Link a file's first block to the last one of the file below it, where there is one (the node's words)."""
        first, last = evidence.headers.get(chunk.start), evidence.headers.get(chunk.end - 1)
        if first is not None:
            self._parents[chunk.start] = first.parent_hash
        if last is not None:
            self._ends[chunk.end] = last.hash
        for border in (chunk.start, chunk.end):
            below, parent = self._ends.get(border), self._parents.get(border)
            if below is not None and parent is not None and below != parent:
                problem = f"block {border} is not the child of the block below it, the last of the file below"
                raise ProofFailed(file=name, evidence=problem)


def _ledger(path: Path, chunk: Chunk, dataset: str, digest: str) -> Ledger:
    from cryo_ingest.prove.ledgers import open_ledger  # noqa: PLC0415 - loads pyarrow and keccak, so late

    return open_ledger(path, chunk, dataset=dataset, digest=digest)


def _words(node: Node, accused: list[int], first: dict[int, Verdict], again: dict[int, Verdict]) -> str:
    """Say which blocks failed, by what evidence, and whether the node said the same twice."""
    listed = "; ".join(f"block {number}: {again[number].problem}" for number in accused[:LISTED_BLOCKS])
    more = f" and {len(accused) - LISTED_BLOCKS} blocks more" if len(accused) > LISTED_BLOCKS else ""
    same = all(first[number] == again[number] for number in accused)
    twice = "gave the same answer twice" if same else "gave another answer the second time, which does not fit either"
    return f"{node.name} contradicts its rows: {listed}{more}. The same node {twice}"
