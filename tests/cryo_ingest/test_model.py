"""The payload, the publication and the manifest: PAY, PUB-1, PUB-2, LAY-4, LAY-7."""

import json
from typing import Any

import pytest

from cryo_ingest.errors import BadPayload
from cryo_ingest.model import (
    Publication,
    StorageRef,
    make_manifest,
    parse_manifest,
    parse_task,
    parse_task_text,
)

GOOD: dict[str, Any] = {
    "dataset_uuid": "0F8FAD5B-D9CB-469F-A165-70867728950E",
    "dataset_key": "eth_blocks",
    "chain_id": 1,
    "cryo_dataset_name": "blocks",
    "rpc_pool": "eth-main",
    "range_start": 0,
    "range_end": 1000,
    "config_hash": "abc",
}

BAD_VALUES: dict[str, list[Any]] = {
    "dataset_uuid": ["", "x", "0F8FAD5BD9CB469FA16570867728950E", "0f8fad5b-d9cb-469f-a165-70867728950e\n", 7, None],
    "dataset_key": ["", "Upper", "a" * 65, "a-b", "a\n", 1, None],
    "chain_id": [0, -1, True, 1.0, "1", None, 2**64],
    "cryo_dataset_name": ["", "Blocks", "a b", "blocks\n", 3, None],
    "rpc_pool": ["", "https://node.example/key", "node.example/v2/key", "user@node", "two words", 5, None],
    "range_start": [-1, True, 0.0, "0", None, 2**32],
    "range_end": [0, True, 1000.0, "1000", None, 2**32],
    "config_hash": ["", 5, None, ["x"]],
}


def without(field: str) -> dict[str, Any]:
    return {name: value for name, value in GOOD.items() if name != field}


def test_pay_1_a_good_payload_is_a_task_with_its_uuid_in_lower_case():
    """PAY-1, PAY-5: all eight fields make a task; a UUID in any case is lower-cased."""
    task = parse_task(GOOD)
    assert task.dataset_uuid == "0f8fad5b-d9cb-469f-a165-70867728950e"
    assert task.block_range == "0:1000"


@pytest.mark.parametrize("field", GOOD)
def test_pay_1_each_field_is_required(field: str):
    """PAY-1: a payload without any one of the eight is bad, and the message names it."""
    with pytest.raises(BadPayload) as caught:
        parse_task(without(field))
    assert set(caught.value.problems) == {field}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in BAD_VALUES for value in BAD_VALUES[field]])
def test_pay_5_each_bad_value_is_rejected_without_repeating_a_secret(field: str, value: Any):
    """PAY-2, PAY-5: the message names the field; it does not repeat a long text, or the pool, which may be a secret."""
    with pytest.raises(BadPayload) as caught:
        parse_task(GOOD | {field: value})
    assert field in caught.value.problems
    assert not isinstance(value, str) or len(value) < 8 or value not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("chain_id", "1", 'but it is "1"'),
        ("chain_id", True, "but it is true"),
        ("range_end", -4, "but it is -4"),
        ("dataset_key", "Eth-Logs", 'but it is "Eth-Logs"'),
        ("config_hash", ["x"], "but it is a list"),
    ],
)
def test_pay_2_the_message_shows_the_bad_value(field: str, value: Any, shown: str):
    """PAY-2: what was seen says what to correct."""
    with pytest.raises(BadPayload) as caught:
        parse_task(GOOD | {field: value})
    assert caught.value.problems[field].endswith(shown)


def test_pay_2_all_bad_fields_are_named_at_once():
    """PAY-2: the message names each bad field, not only the first."""
    with pytest.raises(BadPayload) as caught:
        parse_task(GOOD | {"chain_id": "1", "range_end": -4, "config_hash": ""})
    assert set(caught.value.problems) == {"chain_id", "range_end", "config_hash"}


@pytest.mark.parametrize("end", [1000, 999])
def test_pay_1_the_end_must_be_past_the_start(end: int):
    """PAY-1: an empty or reversed range is bad."""
    with pytest.raises(BadPayload) as caught:
        parse_task(GOOD | {"range_start": 1000, "range_end": end})
    assert set(caught.value.problems) == {"range_end"}


def test_pay_3_unknown_fields_are_ignored():
    """PAY-3: a payload may have more fields."""
    assert parse_task(GOOD | {"surprise": {"deep": [1]}}) == parse_task(GOOD)


@pytest.mark.parametrize("payload", [None, [], "text", 7, [GOOD]])
def test_pay_1_a_payload_that_is_not_an_object_is_rejected(payload: Any):
    """PAY-1: the payload is a JSON object."""
    with pytest.raises(BadPayload, match="JSON object"):
        parse_task(payload)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b"1" * 5000])
def test_pay_1_text_that_is_not_json_is_a_bad_payload(text: bytes):
    """PAY-2: broken JSON, other encodings, deep nesting and huge numbers are bad payloads, not crashes."""
    with pytest.raises(BadPayload, match="payload"):
        parse_task_text(text)


def test_pub_1_a_publication_has_exactly_the_six_fields_and_no_bucket_for_files():
    """PUB-1, PUB-2: six fields; the storage reference of a local run has no bucket."""
    reference = StorageRef("file", None, "/data/cryo/1/")
    publication = Publication("u", "v", reference, "hash", 0, 10)
    assert json.loads(publication.to_json()) == {
        "dataset_uuid": "u",
        "dataset_version": "v",
        "storage_ref": {"scheme": "file", "prefix": "/data/cryo/1/", "glob": "*.parquet"},
        "config_hash": "hash",
        "range_start": 0,
        "range_end": 10,
    }


def test_lay_7_the_manifest_has_one_form():
    """LAY-4, LAY-7: the keys in order, sorted without repeats, no white space, a final newline."""
    manifest = make_manifest(dataset_uuid="u", dataset_version="v", parquet_keys=["b", "a", "b"])
    assert manifest.to_bytes() == b'{"version":1,"dataset_uuid":"u","dataset_version":"v","parquet_keys":["a","b"]}\n'
    assert parse_manifest(manifest.to_bytes()) == manifest


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"version":2,"dataset_uuid":"u","dataset_version":"v","parquet_keys":[]}',
        b'{"version":1,"dataset_uuid":"u","dataset_version":"v","parquet_keys":["b","a"]}',
        b'{"version":1,"dataset_uuid":"u","dataset_version":"v","parquet_keys":["a","a"]}',
        b'{"version":1,"dataset_uuid":"u","dataset_version":"v","parquet_keys":[],"host":"h"}',
        b'{"version":1,"dataset_uuid":"u","dataset_version":"v","parquet_keys":"a"}',
        b'{"version":1,"dataset_uuid":"u","dataset_version":"v"}',
    ],
)
def test_lay_4_an_inexact_manifest_is_rejected(content: bytes):
    """LAY-4: unknown fields, other versions, and unsorted or repeated keys make a manifest invalid."""
    assert parse_manifest(content) is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"config_hash": "a", "config_hash": "a"}', "config_hash"),
        ('{"range_start": 1, "x": {"deep": [{"y": 1, "y": 2}]}}', "y"),
    ],
)
def test_pay_1_a_repeated_key_is_named(text: str, named: str):
    """PAY-1, PAY-2: JSON parsers differ in which of the two values they use, so neither counts."""
    with pytest.raises(BadPayload) as caught:
        parse_task(parse_task_text(text))
    assert caught.value.problems == {named: "must appear once"}
