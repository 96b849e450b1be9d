"""Levels `chain` and `receipts`: a file's rows compared with a node's answers, after Cryo has ended (RNG-4).

A mismatch is looked at twice before it counts. What is confirmed holds for one chunk and its bytes together: equal
bytes under another chunk (two files without rows, say) are another claim. What the rows are summed up to is
`summaries.py`'s, how a node is asked `evidence.py`'s.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cryo_ingest import layout
from cryo_ingest.errors import ProofFailed
from cryo_ingest.levels import at_least
from cryo_ingest.logs import log
from cryo_ingest.rpc.endpoint import check_chain_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryo_ingest.layout import Chunk
    from cryo_ingest.levels import Level
    from cryo_ingest.ports import FileProof, Node
    from cryo_ingest.prove.evidence import BlockResult, Evidence
    from cryo_ingest.prove.rows import RowsProof
    from cryo_ingest.prove.summaries import Summary
    from cryo_ingest.rpc.endpoint import Endpoint

LISTED_BLOCKS = 5
LISTED_PROBLEMS = 3


@dataclass(slots=True)
class ChainProof:
    """Proves files of one task by their rows and then by what the attempt's endpoint says; see `ports.Proof`."""

    rows: RowsProof
    endpoint: Endpoint
    level: Level
    _confirmed: dict[tuple[Chunk, str], FileProof] = field(default_factory=dict)
    _missing_methods: set[str] = field(default_factory=set)
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

    async def confirm(
        self, path: Path, chunk: Chunk, seen: FileProof, *, recorded: Mapping[str, str] | None = None
    ) -> FileProof:
        """Compare one file with the node, unless this very file of this very chunk was confirmed before."""
        known = self._confirmed.get((chunk, seen.sha256))
        if known is not None:
            return known
        subject = layout.evidence_subject(self.rows.task, chunk)
        if recorded and recorded.get("evidence-of") == subject and recorded.get("evidence") in at_least(self.level):
            return replace(seen, evidence=recorded["evidence"], details={"of": subject})
        node = await self.endpoint.choose()
        billed = node.billed_calls
        await check_chain_id(node, self.rows.task.chain_id)
        summary, evidence = await asyncio.to_thread(self._open, path, chunk, seen.sha256, node)
        digest = hashlib.sha256()
        for number, block_hash in await _check(evidence, summary, path.name):
            digest.update(number.to_bytes(8, "big") + block_hash)
        self._check_links(evidence, chunk, path.name)
        details = {"of": subject, "blocks": str(len(summary.blocks)), "digest": digest.hexdigest()}
        if evidence.resolved:
            details["resolved"] = str(evidence.resolved)
        level = "rows" if evidence.rows_only else self.level
        log.info(
            "file.confirmed",
            file=path.name,
            evidence=level,
            blocks=len(summary.blocks),
            resolved=evidence.resolved,
            example=evidence.example,
            billed_calls=node.billed_calls - billed,
        )
        confirmed = replace(seen, evidence=level, details=details)
        self._confirmed[chunk, seen.sha256] = confirmed
        return confirmed

    def _open(self, path: Path, chunk: Chunk, digest: str, node: Node) -> tuple[Summary, Evidence]:
        """Read the file; in a thread, and with imports here, since pyarrow and keccak are loaded for it."""
        from cryo_ingest.prove.evidence import Evidence  # noqa: PLC0415 - see above
        from cryo_ingest.prove.sources import Sources  # noqa: PLC0415 - as above
        from cryo_ingest.prove.summarize import summarize  # noqa: PLC0415 - as above

        summary = summarize(path, chunk, dataset=self.rows.dataset.name, digest=digest)
        sources = Sources(node, self._missing_methods)
        return summary, Evidence(sources, receipts_for_all=self.level == "receipts")

    def _check_links(self, evidence: Evidence, chunk: Chunk, name: str) -> None:
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


async def _check(evidence: Evidence, summary: Summary, name: str) -> list[tuple[int, bytes]]:
    """Return number and hash of each block that is asked for, once the node confirms the file's rows.

    Raises:
        ProofFailed: it does not, asked twice.
    """
    first = await evidence.check(summary, summary.blocks)
    failed = [number for number in summary.blocks if first[number].problem is not None]
    if failed:
        again = await evidence.check(summary, failed)
        evidence.resolved += sum(again[number].problem is None for number in failed)
        failed = [number for number in failed if again[number].problem is not None]
        if failed:
            raise ProofFailed(file=name, evidence=_words(evidence.sources.node, failed, first, again))
    return [(number, evidence.headers[number].hash) for number in summary.blocks]


def _words(node: Node, failed: list[int], first: dict[int, BlockResult], again: dict[int, BlockResult]) -> str:
    """Say which blocks failed, by what evidence, and whether the node said the same twice."""
    by_problem: dict[str, list[int]] = {}
    for number in failed:
        by_problem.setdefault(again[number].problem or "", []).append(number)
    parts = [_listed(numbers, problem) for problem, numbers in list(by_problem.items())[:LISTED_PROBLEMS]]
    if len(by_problem) > LISTED_PROBLEMS:
        parts.append(f"{len(by_problem) - LISTED_PROBLEMS} problems more")
    same = all(first[number] == again[number] for number in failed)
    twice = "gave the same answer twice" if same else "gave another answer the second time, which does not fit either"
    return f"{node.name} does not confirm its rows: {'; '.join(parts)}. The same node {twice}"


def _listed(numbers: list[int], problem: str) -> str:
    if len(numbers) == 1:
        return f"block {numbers[0]}: {problem}"
    shown = ", ".join(map(str, numbers[:LISTED_BLOCKS]))
    more = f" and {len(numbers) - LISTED_BLOCKS} more" if len(numbers) > LISTED_BLOCKS else ""
    return f"blocks {shown}{more}: {problem.replace(' for it ', ' for them ')}"
