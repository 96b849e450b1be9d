"""Levels `chain` and `receipts`: compares a file's rows with a node's answers, after Cryo has ended (RNG-4).

A mismatch is reported only if a second request confirms it. A confirmation is valid for one chunk and its bytes. Equal
bytes of another chunk (two files without rows, for example) are confirmed separately. Summaries of the rows are
in `summaries.py`, and `node_comparison.py` compares them with the node.
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
from cryo_ingest.rpc.evidence import WithEvidence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryo_ingest.layout import Chunk
    from cryo_ingest.levels import Level
    from cryo_ingest.ports import FileProof, Node
    from cryo_ingest.prove.node_comparison import BlockResult, NodeComparison
    from cryo_ingest.prove.rows import RowsProver
    from cryo_ingest.prove.summaries import Summary
    from cryo_ingest.rpc.evidence import Evidence
    from cryo_ingest.rpc.pool import Pool

LISTED_BLOCKS = 5
LISTED_PROBLEMS = 3


@dataclass(slots=True)
class ChainProver:
    """Proves files of one task by their rows and then by the answers of the attempt's endpoint; see `ports.Prover`."""

    rows: RowsProver
    endpoint: Pool
    level: Level
    evidence: Evidence | None = None
    _chain_checked: bool = False
    _confirmed: dict[tuple[Chunk, str], FileProof] = field(default_factory=dict)
    _missing_methods: set[str] = field(default_factory=set)
    _last_hashes: dict[int, bytes] = field(default_factory=dict)
    _parent_hashes: dict[int, bytes] = field(default_factory=dict)

    async def prepare(self) -> None:
        """Import the modules that the proof by rows and the comparison need."""
        await self.rows.prepare()
        await asyncio.to_thread(_load)

    async def prove_rows(self, path: Path, chunk: Chunk) -> FileProof:
        """Prove one file by its rows, while Cryo may still be running."""
        return await self.rows.prove_rows(path, chunk)

    async def same_rows(self, left: Path, right: Path) -> bool:
        """Compare two files as multisets of rows."""
        return await self.rows.same_rows(left, right)

    def is_fake(self, footer: bytes) -> bool | None:
        """Read the mark of MOD-5."""
        return self.rows.is_fake(footer)

    async def confirm_with_node(
        self, path: Path, chunk: Chunk, *, rows_proof: FileProof, recorded: Mapping[str, str] | None = None
    ) -> FileProof:
        """Compare one file with the node, unless the same bytes were confirmed for the same chunk before."""
        known = self._confirmed.get((chunk, rows_proof.sha256))
        if known is not None:
            return known
        subject = layout.evidence_subject(self.rows.task, chunk)
        if recorded and recorded.get("evidence-of") == subject and recorded.get("evidence") in at_least(self.level):
            return replace(rows_proof, evidence=recorded["evidence"], details={"of": subject})
        node = await self.endpoint.choose()
        billed = node.billed_calls
        if not self._chain_checked:
            await check_chain_id(node, self.rows.task.chain_id)
            self._chain_checked = True
        summary, comparison = await asyncio.to_thread(self._open, path, chunk, rows_proof.sha256, node)
        digest = hashlib.sha256()
        for number, block_hash in await _compare_blocks(comparison, summary, path.name):
            digest.update(number.to_bytes(8, "big") + block_hash)
        self._check_links(comparison, chunk, path.name)
        details = {"of": subject, "blocks": str(len(summary.blocks)), "digest": digest.hexdigest()}
        if comparison.resolved:
            details["resolved"] = str(comparison.resolved)
        level = "rows" if comparison.rows_only else self.level
        log.info(
            "file.confirmed",
            file=path.name,
            evidence=level,
            blocks=len(summary.blocks),
            resolved=comparison.resolved,
            example=comparison.example,
            billed_calls=node.billed_calls - billed,
        )
        confirmed = replace(rows_proof, evidence=level, details=details)
        self._confirmed[chunk, rows_proof.sha256] = confirmed
        return confirmed

    def _open(self, path: Path, chunk: Chunk, digest: str, node: Node) -> tuple[Summary, NodeComparison]:
        """Summarize the file; runs in a thread, and imports pyarrow here because it loads slowly."""
        from cryo_ingest.prove.node_comparison import NodeComparison  # noqa: PLC0415 - see above
        from cryo_ingest.prove.sources import Sources  # noqa: PLC0415 - as above
        from cryo_ingest.prove.summarize import summarize  # noqa: PLC0415 - as above

        summary = summarize(path, chunk, dataset=self.rows.dataset.name, digest=digest)
        known = node if self.evidence is None else WithEvidence(node, self.evidence)
        sources = Sources(known, self._missing_methods)
        return summary, NodeComparison(sources, receipts_for_all=self.level == "receipts")

    def _check_links(self, comparison: NodeComparison, chunk: Chunk, name: str) -> None:
        """Check that a file's first block is the child of the preceding file's last block, by the node's headers."""
        first, last = comparison.headers.get(chunk.start), comparison.headers.get(chunk.end - 1)
        if first is not None:
            self._parent_hashes[chunk.start] = first.parent_hash
        if last is not None:
            self._last_hashes[chunk.end] = last.hash
        for boundary in (chunk.start, chunk.end):
            last_hash, parent_hash = self._last_hashes.get(boundary), self._parent_hashes.get(boundary)
            if last_hash is not None and parent_hash is not None and last_hash != parent_hash:
                problem = f"block {boundary} is not the child of the block before it, the last of the preceding file"
                raise ProofFailed(file=name, evidence=problem)


def _load() -> None:
    from cryo_ingest.prove import node_comparison, summarize  # noqa: F401, PLC0415 - to load them


async def _compare_blocks(comparison: NodeComparison, summary: Summary, name: str) -> list[tuple[int, bytes]]:
    """Compare a file with the node and return number and hash of each compared block.

    Raises:
        ProofFailed: the node does not confirm the rows, in two requests.
    """
    first = await comparison.compare(summary, summary.blocks)
    failed = [number for number in summary.blocks if first[number].problem is not None]
    if failed:
        comparison.sources.ask_afresh()
        again = await comparison.compare(summary, failed)
        comparison.resolved += sum(again[number].problem is None for number in failed)
        failed = [number for number in failed if again[number].problem is not None]
        if failed:
            raise ProofFailed(file=name, evidence=_describe(comparison.sources.node, failed, first, again))
    return [(number, comparison.headers[number].hash) for number in summary.blocks]


def _describe(node: Node, failed: list[int], first: dict[int, BlockResult], again: dict[int, BlockResult]) -> str:
    """List the blocks that failed, the mismatches, and whether the node gave the same answer twice."""
    by_problem: dict[str, list[int]] = {}
    for number in failed:
        by_problem.setdefault(again[number].problem or "", []).append(number)
    parts = [_listed(numbers, problem) for problem, numbers in list(by_problem.items())[:LISTED_PROBLEMS]]
    if len(by_problem) > LISTED_PROBLEMS:
        parts.append(f"{len(by_problem) - LISTED_PROBLEMS} more problems")
    same = all(first[number] == again[number] for number in failed)
    twice = "gave the same answer twice" if same else "gave another answer the second time, which does not match either"
    return f"{node.name} does not confirm its rows: {'; '.join(parts)}. The same node {twice}"


def _listed(numbers: list[int], problem: str) -> str:
    if len(numbers) == 1:
        return f"block {numbers[0]}: {problem}"
    shown = ", ".join(map(str, numbers[:LISTED_BLOCKS]))
    more = f" and {len(numbers) - LISTED_BLOCKS} more" if len(numbers) > LISTED_BLOCKS else ""
    return f"blocks {shown}{more}: {problem.replace(' for it ', ' for them ')}"
