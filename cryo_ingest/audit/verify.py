"""`cryo-ingest verify`: verifies a published version from its stored files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryo_ingest import layout
from cryo_ingest.audit.locations import BadReference, dataset_of
from cryo_ingest.datasets import all_datasets
from cryo_ingest.errors import ProofFailed, UnexpectedSchema
from cryo_ingest.levels import LEVELS
from cryo_ingest.model import parse_manifest
from cryo_ingest.ports import Changed
from cryo_ingest.publish.object_metadata import wrong_metadata
from cryo_ingest.publish.ownership import MAX_MANIFEST_BYTES
from cryo_ingest.settings import SINGLE_PUT_LIMIT_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryo_ingest.audit.locations import Location
    from cryo_ingest.layout import Chunk
    from cryo_ingest.model import Manifest, Task
    from cryo_ingest.ports import FileProof, ObjectStore, Prover, StoredObject


OnFile = Callable[[int, int, int], None]
"""Gets the number of a version's files that are verified, the number of all, and the rows so far."""


@dataclass(frozen=True, slots=True)
class KeyProblem:
    """One problem, with its key or prefix."""

    key: str
    problem: str


@dataclass(frozen=True, slots=True)
class Verified:
    """The result for one version, which is complete if `findings` is empty.

    `checksums` counts the files whose bytes were compared with the SHA-256 that was recorded when they were published.
    """

    prefix: str
    files: int
    rows: int
    evidence: str
    checksums: int
    findings: tuple[KeyProblem, ...]


async def verify(  # noqa: PLR0913 - two options of a command, and what shows its progress
    store: ObjectStore,
    location: Location,
    *,
    make_prover: Callable[[Task], Prover],
    scratch: Path,
    rpc_pool: str = "none",
    metadata_required: bool = True,
    on_file: OnFile = lambda *_: None,
) -> Verified:
    """Verify one version: its manifest and keys, then each file's checksum, footer, schema and coverage.

    `make_prover` returns a task's prover: one that checks the rows alone, or one that also asks a node. Files are
    copied to `scratch` one at a time. Unless `metadata_required`, a file may lack metadata, as it
    does if it was copied into a directory. `on_file` is called before the first file and after each.

    Raises:
        IngestError: the store or the node failed.
    """
    stored = await store.list(location.prefix)
    manifest_key = location.prefix + layout.MANIFEST_NAME
    content = await store.read(manifest_key, max_bytes=MAX_MANIFEST_BYTES) if manifest_key in stored else None
    manifest = None if content is None else parse_manifest(content)
    findings = [
        KeyProblem(manifest_key, problem) for problem in manifest_problems(content, manifest, location=location)
    ]
    names = {key.removeprefix(location.prefix) for key in stored} - {layout.MANIFEST_NAME}
    listed = set() if manifest is None else set(manifest.parquet_keys)
    datasets = {dataset for name in names if (dataset := dataset_of(name)) is not None}
    usable = sorted(name for name in datasets if name in all_datasets() and not all_datasets()[name].requires)
    if len(usable) != 1:
        findings.append(KeyProblem(location.prefix, f"contains files of {', '.join(sorted(datasets)) or 'no dataset'}"))
        return Verified(location.prefix, len(names), 0, "none", 0, tuple(findings))
    try:
        task = location.task(usable[0], rpc_pool=rpc_pool)
    except BadReference as error:
        findings.append(KeyProblem(location.prefix, str(error)))
        return Verified(location.prefix, len(names), 0, "none", 0, tuple(findings))
    if location.config_hash is not None and layout.dataset_version(task) != location.dataset_version:
        findings.append(KeyProblem(location.prefix, "is not the version of its payload (VER-2)"))
    chunks = {location.prefix + chunk.name: chunk for chunk in layout.chunks(task)}
    findings += key_problems(
        set(stored) - {manifest_key}, listed=listed, expected=set(chunks), has_manifest=manifest is not None
    )
    prover, rows, levels, checksums = make_prover(task), 0, [], 0
    keys = sorted(chunks.keys() & stored.keys())
    on_file(0, len(keys), 0)
    for number, key in enumerate(keys, start=1):
        checked = await _verify_file(store, stored[key], chunks[key], prover=prover, scratch=scratch)
        problems = list(checked.problems)
        if checked.proof is not None and (checked.metadata or metadata_required):
            problems += metadata_problems(checked.proof, checked.metadata)
        findings += [KeyProblem(key, problem) for problem in problems]
        checksums += checked.proof is not None and "sha256" in checked.metadata
        if checked.proof is not None:
            rows += checked.proof.rows
            levels.append(checked.proof.evidence)
        on_file(number, len(keys), rows)
    evidence = min(levels, key=LEVELS.index, default="none")
    return Verified(location.prefix, len(names), rows, evidence, checksums, tuple(findings))


def manifest_problems(content: bytes | None, manifest: Manifest | None, *, location: Location) -> list[str]:
    """Return the problems of the manifest itself (LAY-4, LAY-7)."""
    if content is None:
        return ["there is no manifest: the version is not published"]
    if manifest is None:
        return ["is not a manifest: other fields than those of LAY-4, or keys unsorted or repeated"]
    problems = [] if manifest.to_bytes() == content else ["is not in the form of LAY-7"]
    if (manifest.dataset_uuid, manifest.dataset_version) != (location.dataset_uuid, location.dataset_version):
        problems.append("names another dataset or version than its prefix")
    return problems


def key_problems(stored: set[str], *, listed: set[str], expected: set[str], has_manifest: bool) -> list[KeyProblem]:
    """Compare the stored keys, the keys in the manifest and the expected keys of the range."""
    problems = [KeyProblem(key, "is missing") for key in sorted(expected - stored)]
    problems += [KeyProblem(key, "does not belong there") for key in sorted(stored - expected)]
    if has_manifest:
        problems += [KeyProblem(key, "is not in the manifest") for key in sorted((stored & expected) - listed)]
        problems += [KeyProblem(key, "is in the manifest but not stored") for key in sorted(listed - stored - expected)]
    return problems


@dataclass(frozen=True, slots=True)
class _CheckedFile:
    """A file's proof, or the problems that prevented it, and the file's metadata."""

    proof: FileProof | None
    problems: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


async def _verify_file(
    store: ObjectStore, stored: StoredObject, chunk: Chunk, *, prover: Prover, scratch: Path
) -> _CheckedFile:
    if stored.size_bytes > SINGLE_PUT_LIMIT_BYTES:
        return _CheckedFile(None, ("is larger than an attempt can store",))
    copy = scratch / chunk.name
    copy.unlink(missing_ok=True)
    try:
        metadata = await store.download(stored, copy)
        if metadata is None:
            return _CheckedFile(None, ("was deleted during the verification",))
        file_proof = await prover.prove_rows(copy, chunk)
        file_proof = await prover.confirm_with_node(copy, chunk, rows_proof=file_proof)
    except Changed:
        return _CheckedFile(None, ("changed during the verification",))
    except ProofFailed as error:
        return _CheckedFile(None, (f"fails its proof: {error.evidence}",))
    except UnexpectedSchema as error:
        return _CheckedFile(None, (f"does not match Cryo 0.3.2's schema: {'; '.join(error.differences)}",))
    finally:
        copy.unlink(missing_ok=True)
    return _CheckedFile(file_proof, (), metadata)


def metadata_problems(file_proof: FileProof, metadata: Mapping[str, str]) -> list[str]:
    """Return the problems of an object's metadata (LAY-8)."""
    if not metadata:
        return ["has no metadata: it can't be compared with what was published"]
    wrong = wrong_metadata(metadata, file_proof)
    problems = []
    if "sha256" in wrong:
        wrong.remove("sha256")
        recorded = metadata.get("sha256", "")
        problems.append(
            f"has changed since it was published: its SHA-256 is {file_proof.sha256}, and {recorded} was recorded"
            if recorded
            else "its metadata have no sha256"
        )
    if metadata.get("evidence") not in LEVELS:
        wrong.append("evidence")
    return problems + ([f"its metadata have another value of {', '.join(wrong)}"] if wrong else [])
