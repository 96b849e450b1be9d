"""The objects of a scenario: writes the preloaded ones, and reads all of them at the end."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.contract import MANIFEST_NAME, chunks, file_name, manifest, prefix
from harness.fakes.cryo.write import write_table
from harness.history import FinalObject
from harness.world.chain import Chain
from harness.world.content import facts_of
from harness.world.quirks import Quirks
from harness.world.tables import build

if TYPE_CHECKING:
    from harness.runner.secrecy import Secrets
    from harness.scenario import PreloadedObject, Scenario
    from harness.stores.bucket import Bucket


def chain_of(scenario: Scenario) -> Chain:
    """Return the deterministic chain of a scenario."""
    return Chain(scenario.node.chain_id, quirks=Quirks(**scenario.node.quirks))


def prepare(scenario: Scenario, bucket: Bucket | None, directory: Path) -> dict[str, str]:
    """Store the preloaded objects of a scenario, and return the SHA-256 of each by its key."""
    digests = {}
    for preloaded in scenario.preloaded_objects:
        payload = scenario.tasks[0].payload()
        payload |= {"cryo_dataset_name": preloaded.dataset} if preloaded.dataset else {}
        chosen = chunks(payload["range_start"], payload["range_end"])[preloaded.chunk]
        name = file_name(payload["chain_id"], payload["cryo_dataset_name"], chosen)
        key = preloaded.key.replace("{prefix}", prefix(payload)).replace("{chunk}", name)
        body = _content(preloaded, scenario, payload, chosen)
        digests[key] = hashlib.sha256(body).hexdigest()
        if bucket is not None:
            has_metadata = preloaded.content in {"whole", "fake", "other-rows"}
            bucket.put(key, body, _metadata(body, preloaded.evidence) if has_metadata else None)
        else:
            (directory / key).parent.mkdir(parents=True, exist_ok=True)
            (directory / key).write_bytes(body)
    return digests


def _metadata(body: bytes, evidence: str) -> dict[str, str]:
    """Return the metadata of a file as LAY-8 defines it."""
    facts = facts_of(body)
    empty = facts["first"] is None
    return {
        "sha256": hashlib.sha256(body).hexdigest(),
        "rows": str(facts["rows"]),
        "block-min": "" if empty else str(facts["first"]),
        "block-max": "" if empty else str(facts["last"]),
        "evidence": evidence,
    }


def _content(preloaded: PreloadedObject, scenario: Scenario, payload: dict[str, Any], chosen: range) -> bytes:
    if preloaded.content == "text":
        return preloaded.text.encode()
    if preloaded.content in {"manifest", "short-manifest"}:
        names = chunks(payload["range_start"], payload["range_end"])
        dataset = payload["cryo_dataset_name"]
        keys = sorted(prefix(payload) + file_name(payload["chain_id"], dataset, chunk) for chunk in names)
        keys = keys[: len(keys) if preloaded.content == "manifest" else 1]
        return manifest(payload, keys)
    import pyarrow as pa  # noqa: PLC0415 - slow, and few scenarios need it
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    numbers = chosen if preloaded.content != "fewer-rows" else chosen[:-1]
    table = build(chain_of(scenario), payload["cryo_dataset_name"], numbers)
    if preloaded.content == "other-rows":
        hashes = table.column("block_hash").to_pylist()
        column = pa.array([bytes(32), *hashes[1:]], table.schema.field("block_hash").type)
        table = table.set_column(table.column_names.index("block_hash"), table.schema.field("block_hash"), column)
    if preloaded.content == "fake":
        table = table.replace_schema_metadata({b"cryo_ingest.fake": b"true"})
    written = io.BytesIO()
    pq.write_table(table, written, compression="lz4")
    return written.getvalue()[:-20] if preloaded.content == "broken" else written.getvalue()


def sizes(scenario: Scenario) -> list[int]:
    """Return the size in bytes of each file that fake Cryo writes for the first task."""
    payload = scenario.tasks[0].payload()
    found = []
    for chunk in chunks(payload["range_start"], payload["range_end"]):
        written = io.BytesIO()
        table = build(chain_of(scenario), payload["cryo_dataset_name"], chunk)
        write_table(table, written)
        found.append(written.tell())
    return found


def contents(bucket: Bucket | None, directory: Path, secrets: Secrets) -> dict[str, FinalObject]:
    """Return all objects in the store, by key."""
    if bucket is not None:
        found = bucket.contents()
    else:
        files = (path for path in sorted(directory.rglob("*")) if path.is_file())
        found = {str(path.relative_to(directory)): path.read_bytes() for path in files}
    return {
        key: FinalObject(
            digest=hashlib.sha256(body).hexdigest(),
            size_bytes=len(body),
            metadata=bucket.metadata(key) if bucket is not None else {},
            text=body.decode(errors="replace") if key.endswith(MANIFEST_NAME) else None,
            parquet=facts_of(body) if key.endswith(".parquet") else None,
            secrets=secrets.found_in(body.decode("latin-1")),
        )
        for key, body in found.items()
    }
