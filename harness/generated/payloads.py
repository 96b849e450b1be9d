"""The dimensions of a task's text: its range, its dataset, and every field at the edges of what is valid."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from harness.generated.draft import Draft, Value, usual

RANGES = {
    "2 chunks": (500, 1700),
    "1 block": (500, 501),
    "999 blocks": (500, 1499),
    "1000 blocks": (500, 1500),
    "1001 blocks": (500, 1501),
    "2000 blocks": (500, 2500),
    "2001 blocks": (500, 2501),
    "from genesis": (0, 1001),
    "8 and 9 digits": (99_999_400, 100_000_600),
    "9 and 10 digits": (999_999_400, 1_000_000_600),
    "the last block": (4_294_967_200, 4_294_967_295),
}
"""Ranges of exactly n x 1,000 blocks and one more or less; block numbers whose digits are not equally many."""

DATASETS = ("blocks", "transactions", "logs", "erc20_transfers", "traces")

FULL_NAME = "k" * 64
VALID_TEXTS: dict[str, dict[str, Any]] = {
    "UUID in upper case": {"dataset_uuid": "0F8FAD5B-D9CB-469F-A165-70867728950E"},
    "key of 64 characters": {"dataset_key": FULL_NAME},
    "key of 1 character": {"dataset_key": "_"},
    "config hash of 1 character": {"config_hash": "0"},
    "config hash with Unicode": {"config_hash": "hàsh:٣\u2028 /"},
    "config hash of 4,000 characters": {"config_hash": "h" * 4000},
    "config hash of white space": {"config_hash": " \t"},
}
INVALID_TEXTS: dict[str, dict[str, Any]] = {
    "key of 65 characters": {"dataset_key": FULL_NAME + "k"},
    "key with a newline at its end": {"dataset_key": "scenario\n"},
    "key with Unicode digits": {"dataset_key": "scenario٣"},
    "key with a look-alike": {"dataset_key": "scen\u0430rio"},
    "key in upper case": {"dataset_key": "Scenario"},
    "empty key": {"dataset_key": ""},
    "key with a hyphen": {"dataset_key": "a-b"},
    "UUID with a newline at its end": {"dataset_uuid": "0f8fad5b-d9cb-469f-a165-70867728950e\n"},
    "UUID in braces": {"dataset_uuid": "{0f8fad5b-d9cb-469f-a165-70867728950e}"},
    "UUID without hyphens": {"dataset_uuid": "0f8fad5bd9cb469fa16570867728950e"},
    "UUID with Unicode digits": {"dataset_uuid": "٣f8fad5b-d9cb-469f-a165-70867728950e"},
    "UUID with a URN": {"dataset_uuid": "urn:uuid:0f8fad5b-d9cb-469f-a165-70867728950e"},
    "UUID as a number": {"dataset_uuid": 5},
    "chain 0": {"chain_id": 0},
    "chain below 0": {"chain_id": -1},
    "chain as text": {"chain_id": "31337"},
    "chain as a fraction": {"chain_id": 31337.0},
    "chain as true": {"chain_id": True},
    "start below 0": {"range_start": -1},
    "start as text": {"range_start": "500"},
    "start as false": {"range_start": False},
    "end at start": {"range_end": 500},
    "end before start": {"range_end": 499},
    "end over the last block": {"range_end": 4_294_967_296},
    "end as a fraction": {"range_end": 1700.0},
    "end as text": {"range_end": "1700"},
    "empty config hash": {"config_hash": ""},
    "config hash as a number": {"config_hash": 1},
    "config hash as null": {"config_hash": None},
    "pool is a URL": {"rpc_pool": "http://localhost"},
    "pool as a number": {"rpc_pool": 7},
    "dataset with a newline at its end": {"cryo_dataset_name": "blocks\n"},
    "dataset in upper case": {"cryo_dataset_name": "Blocks"},
    "unknown dataset": {"cryo_dataset_name": "blockz"},
    "alias of a dataset": {"cryo_dataset_name": "txs"},
    "group of datasets": {"cryo_dataset_name": "state_diffs"},
    "dataset that needs an address": {"cryo_dataset_name": "balances"},
    "dataset that needs a tracer": {"cryo_dataset_name": "javascript_traces"},
}
RAW = {
    "a list": "[]",
    "null": "null",
    "a string": '"task"',
}
FIELDS = (
    "dataset_uuid",
    "dataset_key",
    "chain_id",
    "cryo_dataset_name",
    "rpc_pool",
    "range_start",
    "range_end",
    "config_hash",
)


def ranges() -> list[Value]:
    """Return the values of the range."""

    def apply(start: int, end: int, draft: Draft) -> None:
        draft.set(range_start=start, range_end=end)
        draft.table("node", head=max(1_000_000, end + 1000))

    return [Value(name, partial(apply, start, end)) for name, (start, end) in RANGES.items()]


def datasets() -> list[Value]:
    """Return the values of the dataset."""
    return [Value(name, partial(_set, {"cryo_dataset_name": name})) for name in DATASETS]


def texts() -> list[Value]:
    """Return valid and invalid payloads."""

    def add_unknown(draft: Draft) -> None:
        draft.task["add"] = {"priority": [1, {"of": None}], "range": "500:1700"}

    def drop(name: str, draft: Draft) -> None:
        draft.task["drop"] = (name,)

    def replace(text: str, draft: Draft) -> None:
        draft.task.update(set={}, raw=text)

    def reverse(draft: Draft) -> None:
        """Write the fields in another order, with white space."""
        draft.task["raw"] = json.dumps(dict(reversed(draft.payload.items())), indent=2)

    return [
        Value("usual", usual),
        Value("unknown fields", add_unknown),
        Value("fields in another order", reverse),
        *(Value(name, partial(_set, fields)) for name, fields in (VALID_TEXTS | INVALID_TEXTS).items()),
        *(Value(f"without {name}", partial(drop, name)) for name in FIELDS),
        *(Value(name, partial(replace, text)) for name, text in RAW.items()),
    ]


def _set(fields: dict[str, Any], draft: Draft) -> None:
    draft.set(**fields)
