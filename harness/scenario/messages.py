"""Error messages about a scenario's fields: where a mistake is, and which known name is nearest to an unknown one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.faults import rpc
from harness.scenario.model import schema

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class Problem(NamedTuple):
    """Where in the scenario something is wrong, and what."""

    place: tuple[int | str, ...]
    message: str


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, and suggest the known ones that are nearest."""
    near = get_close_matches(name, list(known), n=3)
    return f"there is no {what} {name!r}{': did you mean ' + ' or '.join(near) + '?' if near else ''}"


def problem_of(error: ErrorDetails) -> Problem:
    """Return what pydantic's error says, in terms of the file."""
    place, message, value = error["loc"], error["msg"].removeprefix("Value error, "), error["input"]
    match error["type"]:
        case "union_tag_invalid":
            place, message = (*place, "do"), unknown("action", str(value["do"]), rpc.ACTIONS)
            message += f"; there are {', '.join(rpc.ACTIONS)}"
        case "union_tag_not_found":
            place, message = (*place, "do"), f"Field required: one of {', '.join(rpc.ACTIONS)}"
        case "unexpected_keyword_argument" | "extra_forbidden":
            known = _fields(place[:-1])
            message = f"{unknown('field', str(place[-1]), known)}; there are {', '.join(known)}"
        case "literal_error" if isinstance(value, str):
            near = get_close_matches(value, re.findall("'([^']+)'", error["ctx"]["expected"]), n=1)
            message += f" (did you mean {near[0]}?)" if near else ""
    return Problem(_in_file(place), message)


def _in_file(place: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Return a place without the name of the action, which pydantic adds to it."""
    has_action = place[:1] == ("rpc_faults",) and len(place) > 3 and place[2] in rpc.ACTIONS  # noqa: PLR2004
    return (*place[:2], *place[3:]) if has_action else place


def _fields(place: tuple[int | str, ...]) -> list[str]:
    """Return the names of the fields of the table at a place."""
    whole = schema()
    table = whole
    for part in place:
        if "discriminator" in table:
            table = {"$ref": table["discriminator"]["mapping"].get(part, "")}
        elif isinstance(part, int):
            table = table.get("items", {})
        else:
            table = table.get("properties", {}).get(part, {})
        if name := table.get("$ref", "").removeprefix("#/$defs/"):
            table = whole["$defs"][name]
    fields: dict[str, Any] = table.get("properties", {})
    return list(fields)
