"""A dataset version's prefix, keys and manifest. Reading what is stored there is in `prefix.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryo_ingest import layout
from cryo_ingest.model import make_manifest

if TYPE_CHECKING:
    from cryo_ingest.layout import Chunk
    from cryo_ingest.model import Manifest, Task


@dataclass(frozen=True, slots=True)
class Version:
    """A dataset version: its prefix, the chunk of each key, and its manifest."""

    dataset_version: str
    prefix: str
    chunks: tuple[Chunk, ...]
    manifest: Manifest
    mode: str

    @classmethod
    def from_task(cls, task: Task, *, mode: str) -> Version:
        """Return the version of a task's output; every attempt computes the same."""
        prefix, chunks = layout.prefix(task), layout.chunks(task)
        manifest = make_manifest(
            dataset_uuid=task.dataset_uuid,
            dataset_version=layout.dataset_version(task),
            parquet_keys=(prefix + chunk.name for chunk in chunks),
        )
        return cls(layout.dataset_version(task), prefix, chunks, manifest, mode)

    @property
    def manifest_key(self) -> str:
        """The key of the manifest."""
        return self.prefix + layout.MANIFEST_NAME

    @property
    def keys(self) -> frozenset[str]:
        """All keys of the complete version, including the manifest's."""
        return frozenset({*self.manifest.parquet_keys, self.manifest_key})

    def key(self, chunk: Chunk) -> str:
        """The key of a chunk's file."""
        return self.prefix + chunk.name
