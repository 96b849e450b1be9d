"""What is derived from a job equals vectors that were computed by hand: SHA-1 of namespace and name (RFC 9562, 5.5)."""

from pathlib import Path

from cryo_ingest import layout
from cryo_ingest.sync.derived import derive_streams
from cryo_ingest.sync.job_file import read_job

EXAMPLE = Path(__file__).resolve().parents[3] / "fixtures" / "jobs" / "monad_bootstrap.yaml"
BLOCKS_UUID = "9df6c778-dfe8-546c-a91a-0cbc03e3b859"
GETH_CALLS_UUID = "97aff108-4cb9-5d7f-8b2b-b2f755b07abd"


def test_dataset_ids_and_config_hashes_equal_the_vectors():
    """The id depends on organization, chain and stream; the config hash on the dataset alone."""
    derived = [
        (stream.key, stream.dataset_uuid, stream.config_hash)
        for stream in derive_streams(read_job(EXAMPLE), org_id="acme")
    ]
    assert derived == [
        ("blocks", BLOCKS_UUID, "cryo_ingest.blocks:v1"),
        ("geth_calls", GETH_CALLS_UUID, "cryo_ingest.geth_calls:v1"),
    ]


def test_the_payload_has_the_eight_fields_and_the_operator():
    """A payload equals the platform's, field by field."""
    blocks, _ = derive_streams(read_job(EXAMPLE), org_id="acme")
    assert blocks.payload((0, 5000)) == {
        "operator": "cryo_ingest",
        "dataset_uuid": BLOCKS_UUID,
        "dataset_key": "blocks",
        "chain_id": 143,
        "cryo_dataset_name": "blocks",
        "rpc_pool": "standard",
        "range_start": 0,
        "range_end": 5000,
        "config_hash": "cryo_ingest.blocks:v1",
    }


def test_ver_2_versions_equal_the_vectors_and_those_of_the_tasks():
    """VER-2: the first and the last range of the example have the versions that were computed by hand."""
    blocks, geth_calls = derive_streams(read_job(EXAMPLE), org_id="acme")
    assert blocks.dataset_version((0, 5000)) == "13e936a5-8cf3-57d1-8dbc-94ef857e3d76"
    assert blocks.dataset_version((45_995_000, 46_000_000)) == "32a580c4-aeb3-5b1d-91b9-9c39b1a603c7"
    assert geth_calls.dataset_version((0, 5000)) == "a64925ba-bfbc-58cb-a15b-ef5abd3ec267"
    assert geth_calls.dataset_version((45_995_000, 46_000_000)) == "1457cb3d-7813-5175-aec9-ddbb59c1e1b3"
    task = geth_calls.task((0, 5000))
    assert layout.dataset_version(task) == geth_calls.dataset_version((0, 5000))
    assert geth_calls.file_names((0, 5000)) == tuple(chunk.name for chunk in layout.chunks(task))
