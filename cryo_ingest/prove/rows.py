"""Level `rows`: proves a file by its own content (RNG-4).

Block numbers must be inside the chunk, datasets with a row per block must have every block once, transaction indexes
must be contiguous, and there must be one chain id. Other missing rows can only be found at the levels that ask a node.
The checks are in `file_rows.py`, which loads pyarrow and is therefore imported when first needed, or while Cryo runs.
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
    from cryo_ingest.model import Task
    from cryo_ingest.ports import FileProof


@dataclass(frozen=True, slots=True)
class RowsProver:
    """Proves files of one task; a schema error names the `executable`."""

    task: Task
    dataset: Dataset
    executable: str

    async def prepare(self) -> None:
        """Import pyarrow and the modules that use it, in a thread."""
        await asyncio.to_thread(_load)

    async def prove_rows(self, path: Path, chunk: Chunk) -> FileProof:
        """Prove one file by its rows; see `ports.Prover`."""
        return await asyncio.to_thread(self._prove, path, chunk)

    async def confirm_with_node(
        self, path: Path, chunk: Chunk, *, rows_proof: FileProof, recorded: Mapping[str, str] | None = None
    ) -> FileProof:
        """Return the proof by rows: at this level no node is asked."""
        del path, chunk, recorded
        return rows_proof

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


def _load() -> None:
    from cryo_ingest.prove import file_rows  # noqa: F401, PLC0415 - to load it


def _equal_rows(left: Path, right: Path) -> bool:
    from cryo_ingest.prove.multiset import equal_rows  # noqa: PLC0415 - see above

    return equal_rows(left, right)
