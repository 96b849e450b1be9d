"""Which payloads a Cryo can be started for: no oracle can tell what should come of any other."""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import Any

from harness.scenario.model import PAYLOAD, TaskLine
from harness.world.catalogue import by_range_alone

Field = tuple[str, ...]
SUCCESSES = {"success", "success_or_retry"}
LAST_BLOCK = 4_294_967_295
"""PAY-5."""
MOST_BLOCKS = 100_000
"""The oracle makes every row of a range that is to be published."""


def json_problem(value: Any) -> str | None:
    """Return why a value can't be sent and kept as JSON."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return f"is nothing that JSON and UTF-8 can hold ({error}): write such a payload as `raw`"
    return None


def whole(payload: dict[str, Any]) -> bool:
    """Tell whether a payload names files: its fields are there and of their types, the dataset and the range good."""
    return _problem(payload) is None


def extractable(line: TaskLine, payload: dict[str, Any]) -> tuple[Field, str] | None:
    """Return what is wrong with a task that is to succeed, or to be run by Cryo, and in which field of the line."""
    if line.cryo is False:
        return None
    return _problem(payload) if line.outcome in SUCCESSES else _dataset_problem(payload)


def _problem(payload: dict[str, Any]) -> tuple[Field, str] | None:
    for name, example in PAYLOAD.items():
        if name not in payload:
            return ("drop",), f"no task without {name} can succeed"
        if type(payload[name]) is not type(example):
            return ("set", name), f"no task with such a {name} can succeed: write one like {example!r}"
    if payload["chain_id"] < 1:
        return ("set", "chain_id"), "no chain has this id"
    start, end = payload["range_start"], payload["range_end"]
    if not 0 <= start < end <= LAST_BLOCK:
        return ("set", "range_end"), f"from {start} to {end} is no range of blocks up to {LAST_BLOCK}"
    if end - start > MOST_BLOCKS:
        return ("set", "range_end"), f"the oracle makes the rows of at most {MOST_BLOCKS} blocks"
    return _dataset_problem(payload)


def _dataset_problem(payload: dict[str, Any]) -> tuple[Field, str] | None:
    dataset = payload.get("cryo_dataset_name")
    known = by_range_alone()
    if not isinstance(dataset, str) or dataset in known:
        return None
    near = get_close_matches(dataset, known, n=3)
    meant = f" (did you mean {' or '.join(near)}?)" if near else ""
    refused = "where the worker is to refuse it, say cryo = false and another outcome"
    return ("set", "cryo_dataset_name"), f"Cryo has no dataset {dataset!r} that needs a range alone{meant}; {refused}"
