"""The files in the staging directory: which expected ones exist, which are proved, which are unexpected."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest import caps as range_caps
from cryo_ingest.errors import ProofFailed
from cryo_ingest.ports import ExtractedFile

if TYPE_CHECKING:
    from pathlib import Path

    from cryo_ingest.ports import ExtractionRequest, ProveFile
    from cryo_ingest.settings import Caps

Signature = tuple[int, int, int]
"""Inode, size and time of change: a proved file with the same three is unchanged."""


@dataclass(slots=True)
class ExtractedFiles:
    """The files of one attempt, proved one by one as Cryo finishes them.

    Cryo renames a file to its final name when it is complete, so any `.parquet` file can be read while Cryo runs.
    """

    request: ExtractionRequest
    prove: ProveFile
    problems: dict[str, ProofFailed] = field(default_factory=dict)
    _proved: dict[str, tuple[Signature, ExtractedFile]] = field(default_factory=dict)
    _failed: dict[str, Signature] = field(default_factory=dict)

    @property
    def files(self) -> tuple[ExtractedFile, ...]:
        """The proved files, in block order."""
        return tuple(self._proved[chunk.name][1] for chunk in self.request.chunks if chunk.name in self._proved)

    @property
    def blocks_done(self) -> int:
        """How many blocks the proved files cover."""
        return sum(file.chunk.end - file.chunk.start for file in self.files)

    async def prove_new_files(self) -> None:
        """Prove expected files that are new or changed, and drop proofs of files that are gone."""
        existing = _regular_files(self.request.directory)
        for chunk in self.request.chunks:
            signature = existing.get(chunk.name)
            known = self._proved.get(chunk.name)
            if known is not None and known[0] != signature:
                del self._proved[chunk.name]
            if signature is None or (known and known[0] == signature) or self._failed.get(chunk.name) == signature:
                continue
            path = self.request.directory / chunk.name
            try:
                proof = await self.prove(path, chunk)
            except ProofFailed as problem:
                self._failed[chunk.name], self.problems[chunk.name] = signature, problem
            else:
                self._proved[chunk.name] = (signature, ExtractedFile(chunk, path, proof))
                self.problems.pop(chunk.name, None)

    def unexpected_files(self) -> list[Path]:
        """Return the `.parquet` paths below the directory that are not expected, or not regular files."""
        existing = _regular_files(self.request.directory)
        expected = {self.request.directory / chunk.name for chunk in self.request.chunks if chunk.name in existing}
        return sorted(path for path in self.request.directory.rglob("*.parquet") if path not in expected)

    def is_complete(self) -> bool:
        """Return whether every expected file is proved and no other file exists."""
        return len(self._proved) == len(self.request.chunks) and not self.unexpected_files()

    def delete_unproved(self) -> None:
        """Delete every file that is not proved: Cryo skips existing files, and must write these again."""
        keep = {file.path for file in self.files}
        for folder, folders, names in os.walk(self.request.directory, topdown=False):
            for name in names:
                path = self.request.directory / folder / name
                if path not in keep:
                    path.unlink(missing_ok=True)
            for name in folders:
                path = self.request.directory / folder / name
                path.unlink() if path.is_symlink() else path.rmdir()
        self._failed.clear()

    def written_bytes(self) -> int:
        """Return the size of all files, including unfinished ones."""
        return sum(size for _, size, _ in _regular_files(self.request.directory).values())

    def check_caps(self, caps: Caps) -> None:
        """Check what Cryo has written so far against the caps (CAP-5)."""
        sizes = {name: size for name, (_, size, _) in _regular_files(self.request.directory).items()}
        files = sum(name.endswith(".parquet") for name in sizes)
        range_caps.check_caps(caps, self.request.task.block_range, files=files, sizes_bytes=sizes)


def _regular_files(directory: Path) -> dict[str, Signature]:
    """Return name and signature of each regular file directly in the directory."""
    found: dict[str, Signature] = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if entry.is_file(follow_symlinks=False):
                found[entry.name] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found
