"""What an object's user metadata say about its bytes, and whether that is true (LAY-8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryo_ingest.levels import at_least

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryo_ingest.ports import FileProof
    from cryo_ingest.publish.prefix import Judged


def object_metadata(seen: FileProof, more: Mapping[str, str]) -> dict[str, str]:
    """Return the user metadata of an object (LAY-8); what was proved goes before all else that is said."""
    details = {f"evidence-{name}": value for name, value in seen.details.items()}
    return dict(more) | details | _facts_of_bytes(seen) | {"evidence": seen.evidence}


def _facts_of_bytes(seen: FileProof) -> dict[str, str]:
    return {
        "sha256": seen.sha256,
        "rows": str(seen.rows),
        "block-min": "" if seen.block_min is None else str(seen.block_min),
        "block-max": "" if seen.block_max is None else str(seen.block_max),
    }


def wrong_metadata(metadata: Mapping[str, str], seen: FileProof) -> list[str]:
    """Name the metadata that are wrong about an object's bytes (LAY-8); its evidence is not among them."""
    return [name for name, value in _facts_of_bytes(seen).items() if metadata.get(name, "") != value]


def metadata_is_correct(judged: Judged) -> bool:
    """Tell whether a stored object's metadata say about its bytes what was just proved, or a higher level."""
    recorded = judged.metadata.get("evidence")
    return recorded in at_least(judged.proof.evidence) and not wrong_metadata(judged.metadata, judged.proof)
