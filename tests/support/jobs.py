"""Streams and the keys of their ranges, for tests of `cryo_ingest.sync`; the keys come from the harness."""

from typing import Any

from cryo_ingest.ports import StoredObject
from cryo_ingest.sync.derived import DerivedStream
from cryo_ingest.sync.job import Stream
from harness import contract

UUID = "9df6c778-dfe8-546c-a91a-0cbc03e3b859"


def make_stream(dataset: str = "blocks", *, chunk_size: int = 1000, max_inflight: int = 4) -> DerivedStream:
    stream = Stream(dataset, dataset, "any", chunk_size=chunk_size, max_inflight=max_inflight)
    return DerivedStream(stream, 31337, UUID, f"cryo_ingest.{dataset}:v1")


def keys_of(stream: DerivedStream, blocks: tuple[int, int], **other: Any) -> list[str]:
    """Return all keys of a complete range, the manifest's last; `other` replaces fields of the payload."""
    prefix = contract.prefix(stream.payload(blocks) | other)
    dataset = stream.stream.cryo_dataset_name
    network = contract.network_name(stream.chain_id)
    names = [
        f"{network}__{dataset}__{chunk.start:08d}_to_{chunk.stop - 1:08d}.parquet" for chunk in contract.chunks(*blocks)
    ]
    return [prefix + name for name in (*names, contract.MANIFEST_NAME)]


def listing(*keys: str, size_bytes: int = 9) -> dict[str, StoredObject]:
    """Return the listing of a store that has these keys."""
    return {key: StoredObject(key, size_bytes, "e") for key in keys}
