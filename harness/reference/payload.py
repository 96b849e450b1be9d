"""The payload, parsed strictly (PAY); an error names all bad fields."""

from __future__ import annotations

import re
from typing import Any

from harness.reference.bugs import has_bug
from harness.reference.errors import BadPayload
from harness.reference.task import Task
from harness.world.catalogue import by_range_alone, datasets

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
NAME = re.compile(r"[a-z0-9_]{1,64}")
MAX_BLOCK_NUMBER = 4_294_967_295
INTEGERS = ("chain_id", "range_start", "range_end")


def parse(payload: Any) -> Task:
    """Parse a payload.

    Raises:
        BadPayload: it breaks PAY-1, PAY-4 or PAY-5; the message names every bad field.
    """
    if not isinstance(payload, dict):
        raise BadPayload("the payload is not a JSON object")
    known = set(Task.__slots__)
    if has_bug("refuses-unknown-fields") and set(payload) - known:
        raise BadPayload(f"the payload has unknown fields: {sorted(set(payload) - known)}")
    if has_bug("config-hash-is-optional"):
        payload = {"config_hash": "none", **payload}
    if has_bug("true-is-an-integer"):
        payload = {name: _lenient(value) if name in INTEGERS else value for name, value in payload.items()}
    problems = [f"{name} is missing" for name in Task.__slots__ if name not in payload]
    problems += [_problem(name, payload[name]) for name in Task.__slots__ if name in payload]
    problems = [problem for problem in problems if problem]
    first, end = payload.get("range_start"), payload.get("range_end")
    if _is_integer(first) and _is_integer(end) and end <= first:
        problems.append("range_end is not after range_start")
    if problems:
        raise BadPayload("the payload can't be used: " + "; ".join(problems))
    fields = {name: payload[name] for name in Task.__slots__}
    if has_bug("runs-aliases"):
        aliases = {alias: name for name, dataset in datasets().items() for alias in dataset.aliases}
        fields["cryo_dataset_name"] = aliases.get(fields["cryo_dataset_name"], fields["cryo_dataset_name"])
    return Task(**{**fields, "dataset_uuid": fields["dataset_uuid"].lower()})


def _lenient(value: Any) -> Any:
    try:
        return int(value)
    except (TypeError, ValueError):
        return value


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _problem(name: str, value: Any) -> str:
    if name in INTEGERS:
        least = 0 if name == "range_start" else 1
        if not _is_integer(value) or value < least:
            return f"{name} is not an integer of at least {least}"
        most = None if name == "chain_id" else MAX_BLOCK_NUMBER
        return f"{name} is over {most}" if most is not None and value > most else ""
    return _text_problem(name, value)


def _text_problem(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        return f"{name} is not a non-empty string"
    if name == "dataset_uuid" and not UUID.fullmatch(value):
        return "dataset_uuid is not a UUID of the form 8-4-4-4-12"
    if name in {"dataset_key", "cryo_dataset_name"} and not NAME.fullmatch(value):
        return f"{name} does not match ^[a-z0-9_]{{1,64}}$"
    if name == "rpc_pool" and "://" in value:
        return "rpc_pool is a URL; it must be a pool's name"
    return _dataset_problem(value) if name == "cryo_dataset_name" else ""


def _dataset_problem(name: str) -> str:
    if name in by_range_alone():
        return ""
    for canonical, dataset in datasets().items():
        if name in dataset.aliases:
            return (
                "" if has_bug("runs-aliases") else f"cryo_dataset_name is an alias: the dataset is called {canonical}"
            )
    members = [canonical for canonical, dataset in datasets().items() if dataset.group == name]
    if members:
        return f"cryo_dataset_name is a group: name one of {', '.join(members)}"
    if name in datasets():
        return f"cryo_dataset_name {name} needs {', '.join(datasets()[name].requires)}, which a payload can't carry"
    return f"cryo_dataset_name {name} is not a dataset of Cryo"
