"""Level `rows`: what a file can show by itself (RNG-4).

Block numbers inside the chunk, every block once in datasets with a row per block, contiguous transaction indexes, one
chain id. It can't show a row that is missing elsewhere: that is what the levels that ask a node are for. The judgement
itself is in `judge.py`, which loads pyarrow and so is loaded when first needed, or beforehand while Cryo runs.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryo_ingest.datasets import Dataset
    from cryo_ingest.layout import Chunk
    from cryo_ingest.levels import Level
    from cryo_ingest.model import Task
    from cryo_ingest.ports import FileProof


@dataclass(frozen=True, slots=True)
class RowsProof:
    """Proves files of one task; `executable` is named when a schema is not the pinned one."""

    task: Task
    dataset: Dataset
    executable: str

    async def prove(self, path: Path, chunk: Chunk) -> FileProof:
        """Prove one file; see `ports.Proof`."""
        return await asyncio.to_thread(self._prove, path, chunk)

    async def confirm(
        self, path: Path, chunk: Chunk, seen: FileProof, *, recorded: Mapping[str, str] | None = None
    ) -> FileProof:
        """Return the proof by rows itself: no more is asked."""
        del path, chunk, recorded
        return seen

    async def same_rows(self, left: Path, right: Path) -> bool:
        """Compare two proved files as multisets of rows."""
        return await asyncio.to_thread(_equal_rows, left, right)

    def is_fake(self, tail: bytes) -> bool | None:
        """Read the mark of MOD-5 from a file's last bytes."""
        from cryo_ingest.prove import footer  # noqa: PLC0415 - see above

        metadata = footer.read_footer(tail)
        return None if metadata is None else footer.has_fake_mark(metadata)

    def _prove(self, path: Path, chunk: Chunk) -> FileProof:
        from cryo_ingest.prove.file_rows import prove_rows  # noqa: PLC0415 - see above

        chain_id = self.task.chain_id
        return prove_rows(path, chunk, dataset=self.dataset, chain_id=chain_id, executable=self.executable)


def load(level: Level = "rows") -> None:
    """Load what proving needs; done in a thread while Cryo starts, it costs an attempt nothing."""
    from cryo_ingest.prove import file_rows, multiset  # noqa: F401, PLC0415 - loaded for their own sake

    if level != "rows":
        from cryo_ingest.prove import evidence, summarize  # noqa: F401, PLC0415 - as above


def _equal_rows(left: Path, right: Path) -> bool:
    from cryo_ingest.prove.multiset import equal_rows  # noqa: PLC0415 - see above

    return equal_rows(left, right)
