"""Writes and checks an object's user metadata (LAY-8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryo_ingest.levels import at_least

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryo_ingest.ports import FileProof
    from cryo_ingest.publish.prefix import ProvedObject


def object_metadata(file_proof: FileProof, more: Mapping[str, str]) -> dict[str, str]:
    """Return an object's user metadata (LAY-8); the values of the proof take precedence over `more`."""
    details = {f"evidence-{name}": value for name, value in file_proof.details.items()}
    return dict(more) | details | _content_metadata(file_proof) | {"evidence": file_proof.evidence}


def _content_metadata(file_proof: FileProof) -> dict[str, str]:
    return {
        "sha256": file_proof.sha256,
        "rows": str(file_proof.rows),
        "block-min": "" if file_proof.block_min is None else str(file_proof.block_min),
        "block-max": "" if file_proof.block_max is None else str(file_proof.block_max),
    }


def wrong_metadata(metadata: Mapping[str, str], file_proof: FileProof) -> list[str]:
    """Return the names of metadata that are wrong about an object's bytes (LAY-8), without its evidence."""
    return [name for name, value in _content_metadata(file_proof).items() if metadata.get(name, "") != value]


def metadata_is_correct(stored: ProvedObject) -> bool:
    """Return whether a stored object's metadata match its proof, or record a higher level."""
    recorded = stored.metadata.get("evidence")
    return recorded in at_least(stored.proof.evidence) and not wrong_metadata(stored.metadata, stored.proof)
