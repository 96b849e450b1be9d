"""JSON Schemas of the formats of the harness, each with its version, and validation against them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent


class SchemaMismatch(ValueError):
    """A value does not match its schema; the message names each place."""


@cache
def schema(name: str) -> dict[str, Any]:
    """Return a schema by the name of its file, without suffix."""
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def check(name: str, value: object) -> None:
    """Validate a value against a schema.

    Raises:
        SchemaMismatch: the value does not match the schema.
    """
    import jsonschema  # noqa: PLC0415 - slow to load, and most runs validate nothing

    errors = jsonschema.Draft202012Validator(schema(name)).iter_errors(value)
    problems = dict.fromkeys(f"{error.json_path.removeprefix('$.')}: {error.message}" for error in errors)
    if problems:
        raise SchemaMismatch(f"{name}: {'; '.join(problems)}")
