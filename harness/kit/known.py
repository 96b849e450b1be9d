"""The list of known failures: lines of `CLAUSE/SCENARIO # message`, as protobuf's conformance suite has them.

A listed failure that comes with its message does not count; one that is not listed does, and so do a listed one that
did not come and one whose message is another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.report.names import short_names, shorten
from harness.report.result import ScenarioResult, in_order
from harness.resources import clause_ids


class BadList(ValueError):
    """The list can't be used: its file and line, and what is wrong there."""


def read(path: Path, scenarios: Iterable[str]) -> dict[str, str]:
    """Return the messages by `CLAUSE/SCENARIO`; blank lines and those that begin with `#` say nothing.

    Raises:
        BadList: a line is no such line, stands there twice, or names a clause or scenario that there is not.
        OSError: the file can't be read.
    """
    names = set(scenarios)
    found: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise BadList(f"{path.name} is no list of known failures: it is no UTF-8 text") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        place, separator, message = (part.strip() for part in line.partition(" # "))
        clause, _, scenario = place.partition("/")
        problem = (
            "write CLAUSE/SCENARIO # message" if not (separator and message and scenario)
            else f"the contract has no clause {clause}" if clause not in clause_ids()
            else f"there is no scenario {scenario}" if scenario not in names
            else f"{place} stands there twice" if place in found
            else ""
        )  # fmt: skip
        if problem:
            raise BadList(f"{path.name}, line {number}: {problem}")
        found[place] = message
    return found


def messages_of(ran: ScenarioResult, clause: str) -> list[str]:
    """Return what a failure's line may say: each thing that was seen, on one line, in words that all runs share."""
    names = short_names(ran.events)
    seen = (" ".join(shorten(one.seen, names).split()) for one in ran.by_clause()[clause].violations)
    return list(dict.fromkeys(one or "nothing" for one in seen))


def compare(listed: Mapping[str, str], scenarios: Iterable[ScenarioResult]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the failures that came as listed, and what is to be said of the others, with the lines that they need.

    A message may be the beginning of what is seen, once or more. Nothing is said of scenarios that did not run, or went
    wrong.
    """
    known, complaints = {}, []
    for ran in scenarios:
        broken = {clause: messages_of(ran, clause) for clause in in_order(one.clause for one in ran.violations)}
        for place, message in listed.items():
            clause, _, scenario = place.partition("/")
            if scenario != ran.name:
                continue
            seen = broken.get(clause, [])
            if any(one.startswith(message) for one in seen):
                known[place] = message
            elif seen:
                complaints.append(
                    f"{place} fails in another way than is listed; its line would be: {place} # {seen[0]}"
                )
            elif not ran.errors:
                complaints.append(f"{place} is listed as a known failure and did not fail: take it off the list")
        for clause, seen in broken.items():
            place = f"{clause}/{ran.name}"
            if place not in listed:
                complaints.append(f"{place} is not on the list; its line would be: {place} # {seen[0]}")
    return known, tuple(complaints)
