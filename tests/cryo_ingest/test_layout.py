"""Identity and names: VER, LAY-1, LAY-9."""

import uuid

from cryo_ingest import layout
from cryo_ingest.model import Task

TASK = Task(
    dataset_uuid="0f8fad5b-d9cb-469f-a165-70867728950e",
    dataset_key="k",
    chain_id=143,
    cryo_dataset_name="logs",
    rpc_pool="p",
    range_start=99_999_500,
    range_end=100_001_000,
    config_hash="h",
)


def test_ver_2_the_version_is_the_uuid5_of_the_identity():
    """VER-1, VER-2: the version depends on the payload's identity alone and has the documented derivation."""
    name = "cryo_ingest:0f8fad5b-d9cb-469f-a165-70867728950e:h:143:99999500:100001000"
    expected = str(uuid.uuid5(uuid.UUID("6e484f2c-567a-44f3-8a5e-c0650b2a169f"), name))
    assert layout.dataset_version(TASK) == expected
    assert layout.dataset_version(TASK.model_copy(update={"rpc_pool": "other", "dataset_key": "x"})) == expected
    assert layout.dataset_version(TASK.model_copy(update={"config_hash": "i"})) != expected


def test_ver_1_the_version_is_the_same_on_every_machine_and_day():
    """VER-1: the expected version is a literal, so that a change of the code is noticed."""
    assert layout.dataset_version(TASK) == "1281b6a2-812f-5b0a-92f9-ebc5125c02c2"


def test_lay_1_the_prefix_has_the_documented_form():
    """LAY-1: no zero padding, a trailing slash."""
    version = layout.dataset_version(TASK)
    expected = f"cryo/143/0f8fad5b-d9cb-469f-a165-70867728950e/99999500_100001000/{version}/"
    assert layout.prefix(TASK) == expected


def test_lay_9_chunks_start_at_the_range_and_names_grow_past_eight_digits():
    """LAY-9: unaligned chunks of 1,000 blocks, inclusive ends, Cryo's network name."""
    assert layout.chunks(TASK) == (
        layout.Chunk(99_999_500, 100_000_500, "network_143__logs__99999500_to_100000499.parquet"),
        layout.Chunk(100_000_500, 100_001_000, "network_143__logs__100000500_to_100000999.parquet"),
    )
    assert layout.file_count(TASK) == 2


def test_lay_9_known_chains_have_cryos_names():
    """LAY-9: mainnet is `ethereum`, and chains unknown to Cryo are `network_<id>`."""
    assert layout.network_name(1) == "ethereum"
    assert layout.network_name(84532) == "network_84532"
