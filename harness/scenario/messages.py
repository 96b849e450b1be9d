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
    """A location in the scenario, and what is wrong there."""

    location: tuple[int | str, ...]
    message: str


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return an error message for an unknown name, with similar known names."""
    similar = get_close_matches(name, list(known), n=3)
    return f"there is no {what} {name!r}{': did you mean ' + ' or '.join(similar) + '?' if similar else ''}"


def problem_of(error: ErrorDetails) -> Problem:
    """Convert an error of pydantic into a location of the file and a message."""
    location, message, value = error["loc"], error["msg"].removeprefix("Value error, "), error["input"]
    match error["type"]:
        case "union_tag_invalid":
            location, message = (*location, "do"), unknown("action", str(value["do"]), rpc.ACTIONS)
            message += f"; there are {', '.join(rpc.ACTIONS)}"
        case "union_tag_not_found":
            location, message = (*location, "do"), f"Field required: one of {', '.join(rpc.ACTIONS)}"
        case "unexpected_keyword_argument" | "extra_forbidden":
            known = _fields(location[:-1])
            message = f"{unknown('field', str(location[-1]), known)}; there are {', '.join(known)}"
        case "literal_error" if isinstance(value, str):
            similar = get_close_matches(value, re.findall("'([^']+)'", error["ctx"]["expected"]), n=1)
            message += f" (did you mean {similar[0]}?)" if similar else ""
    return Problem(_in_file(location), message)


def _in_file(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Return a location without the name of the action, which pydantic adds."""
    has_action = location[:1] == ("rpc_faults",) and len(location) > 3 and location[2] in rpc.ACTIONS  # noqa: PLR2004
    return (*location[:2], *location[3:]) if has_action else location


def _fields(location: tuple[int | str, ...]) -> list[str]:
    """Return the names of the fields of the table at a location."""
    root = schema()
    table = root
    for part in location:
        if "discriminator" in table:
            table = {"$ref": table["discriminator"]["mapping"].get(part, "")}
        elif isinstance(part, int):
            table = table.get("items", {})
        else:
            table = table.get("properties", {}).get(part, {})
        if name := table.get("$ref", "").removeprefix("#/$defs/"):
            table = root["$defs"][name]
    fields: dict[str, Any] = table.get("properties", {})
    return list(fields)
