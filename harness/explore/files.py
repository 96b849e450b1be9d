"""Writes a generated scenario as a scenario file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from harness.scenario import Scenario


def save(scenario: Scenario, folder: Path) -> Path:
    """Write a scenario to a folder, under its name, and return the path.

    Raises:
        OSError: the file can't be written.
    """
    path = folder / f"{scenario.name}.toml"
    path.write_text(toml(scenario), encoding="utf-8")
    return path


def toml(scenario: Scenario) -> str:
    """Return a scenario as TOML, without its name, which is that of its file; default values are left out."""
    fields = {name: value for name, value in _changed(scenario).items() if name != "name"}
    lines = [f"{name} = {_value(value)}" for name, value in fields.items()]
    return "\n".join(lines) + "\n"


def _changed(item: Any) -> dict[str, Any]:
    """Return the fields of a table that differ from their defaults; `do` names the kind of a fault and always stays."""
    if isinstance(item, BaseModel):
        known = type(item).model_fields
        return {
            name: value
            for name in known
            if (value := getattr(item, name)) != known[name].get_default(call_default_factory=True)
        }
    found = {}
    for each in dataclasses.fields(item):
        value = getattr(item, each.name)
        factory = each.default_factory
        default = factory() if callable(factory) else each.default
        if value is not None and (each.name == "do" or value != default):
            found[each.name] = value
    return found


def _value(value: Any) -> str:
    """Return a value as TOML; JSON's strings, numbers and booleans are TOML's."""
    if isinstance(value, BaseModel) or dataclasses.is_dataclass(value):
        return _value(_changed(value))
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(name)} = {_value(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=True)


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else json.dumps(name)
