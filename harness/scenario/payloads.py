"""Which payloads Cryo can extract; for other payloads the oracle has no expected result."""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import Any

from harness.contract import LAST_BLOCK
from harness.scenario.model import PAYLOAD, TaskLine
from harness.world.catalogue import by_range_alone

Field = tuple[str, ...]
SUCCESSES = {"success", "success_or_retry"}
MAX_BLOCKS = 100_000
"""The largest range to publish, since the oracle computes all of its rows."""


def json_problem(value: Any) -> str | None:
    """Return why a value can't be sent as JSON, or None."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return f"can't be written as JSON in UTF-8 ({error}): write such a payload as `raw`"
    return None


def names_files(payload: dict[str, Any]) -> bool:
    """Return whether a payload determines files: all fields are valid."""
    return _problem(payload) is None


def extractable(line: TaskLine, payload: dict[str, Any]) -> tuple[Field, str] | None:
    """Return the field and the problem of a task that must succeed or run Cryo but can't, or None."""
    if line.cryo is False:
        return None
    return _problem(payload) if line.outcome in SUCCESSES else _dataset_problem(payload)


def _problem(payload: dict[str, Any]) -> tuple[Field, str] | None:
    for name, example in PAYLOAD.items():
        if name not in payload:
            return ("drop",), f"a task without {name} can't succeed"
        if type(payload[name]) is not type(example):
            return ("set", name), f"a task with such a {name} can't succeed: write a value like {example!r}"
    if payload["chain_id"] < 1:
        return ("set", "chain_id"), "must be at least 1"
    start, end = payload["range_start"], payload["range_end"]
    if not 0 <= start < end <= LAST_BLOCK:
        return ("set", "range_end"), f"{start} to {end} is not a range of blocks up to {LAST_BLOCK}"
    if end - start > MAX_BLOCKS:
        return ("set", "range_end"), f"the oracle computes at most {MAX_BLOCKS} blocks"
    return _dataset_problem(payload)


def _dataset_problem(payload: dict[str, Any]) -> tuple[Field, str] | None:
    dataset = payload.get("cryo_dataset_name")
    known = by_range_alone()
    if not isinstance(dataset, str) or dataset in known:
        return None
    similar = get_close_matches(dataset, known, n=3)
    hint = f" (did you mean {' or '.join(similar)}?)" if similar else ""
    advice = "if the worker should reject it, write cryo = false and another outcome"
    return ("set", "cryo_dataset_name"), f"Cryo has no dataset {dataset!r} that needs only a range{hint}; {advice}"
