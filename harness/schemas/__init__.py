"""The formats of the harness as JSON Schemas, each with its version, and the way in which a value is held to one."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent


class SchemaMismatch(ValueError):
    """A value that breaks its schema; the message names every place that does."""


@cache
def schema(name: str) -> dict[str, Any]:
    """Return a schema by the name of its file."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def check(name: str, value: object) -> None:
    """Hold a value to a schema.

    Raises:
        SchemaMismatch: it breaks it.
    """
    import jsonschema  # noqa: PLC0415 - slow to load, and most runs have nothing to check

    errors = jsonschema.Draft202012Validator(schema(name)).iter_errors(value)
    problems = dict.fromkeys(f"{error.json_path.removeprefix('$.')}: {error.message}" for error in errors)
    if problems:
        raise SchemaMismatch(f"{name}: {'; '.join(problems)}")
