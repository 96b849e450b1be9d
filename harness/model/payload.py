"""Which payloads are valid: PAY-1, PAY-4 and PAY-5."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from harness.contract import LAST_BLOCK, NAME, UUID_IN_ANY_CASE
from harness.model.allowed import FATAL, Finding, Stage
from harness.world.catalogue import by_range_alone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.scenario import TaskLine


def _is_integer(value: Any) -> bool:
    """Return whether a value is a JSON integer; `True` is one only for Python."""
    return type(value) is int


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_pool(value: Any) -> bool:
    """Return whether a value is the name of a pool, and no URL."""
    return isinstance(value, str) and value != "" and "://" not in value


FIELDS: dict[str, Callable[[Any], bool]] = {
    "dataset_uuid": _matches(UUID_IN_ANY_CASE),
    "dataset_key": _matches(NAME),
    "chain_id": lambda value: _is_integer(value) and value > 0,
    "cryo_dataset_name": _matches(NAME),
    "rpc_pool": _is_pool,
    "range_start": lambda value: _is_integer(value) and value >= 0,
    "range_end": lambda value: _is_integer(value) and value <= LAST_BLOCK,
    "config_hash": lambda value: isinstance(value, str) and value != "",
}
"""The required fields, and which values each of them may have."""


def bad_fields(payload: Any) -> list[str]:
    """Return the names of the fields that break PAY-1 or PAY-5; a payload that is not an object has only bad fields."""
    if not isinstance(payload, dict):
        return list(FIELDS)
    bad = [name for name, is_valid in FIELDS.items() if name not in payload or not is_valid(payload[name])]
    start, end = payload.get("range_start"), payload.get("range_end")
    if isinstance(start, int) and isinstance(end, int) and end <= start and not {"range_start", "range_end"} & {*bad}:
        bad.append("range_end")
    return bad


def parsed(line: TaskLine) -> Any:
    """Return the payload of a task as JSON, None if it is not JSON."""
    try:
        return json.loads(line.text())
    except ValueError:
        return None


def payload_findings(payload: Any) -> Iterator[Finding]:
    """Yield what is wrong with a payload; the worker must not start Cryo for it."""
    if bad_fields(payload):
        yield Finding(Stage.BEFORE_CRYO, FATAL, "PAY-2")
    elif payload["cryo_dataset_name"] not in by_range_alone():
        yield Finding(Stage.BEFORE_CRYO, FATAL, "PAY-4")
