"""The list of known failures: lines of `CLAUSE/SCENARIO # message`, as in protobuf's conformance suite.

A failure that is listed with its message is ignored. These count as failures of the run: a failure that is not listed,
one that is listed with another message, and a listed failure that did not occur.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.report.names import short_names, shorten
from harness.report.result import ScenarioResult, in_order
from harness.resources import clause_ids


class BadList(ValueError):
    """The list can't be used; the message has the file, the line and the mistake."""


def read(path: Path, scenarios: Iterable[str]) -> dict[str, str]:
    """Return the messages by `CLAUSE/SCENARIO`; blank lines and lines that begin with `#` are ignored.

    Raises:
        BadList: a line has another format, is a duplicate, or names an unknown clause or scenario.
        OSError: the file can't be read.
    """
    names = set(scenarios)
    found: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise BadList(f"{path.name} is not a list of known failures: it is not UTF-8 text") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, separator, message = (part.strip() for part in line.partition(" # "))
        clause, _, scenario = name.partition("/")
        problem = (
            "write CLAUSE/SCENARIO # message" if not (separator and message and scenario)
            else f"the contract has no clause {clause}" if clause not in clause_ids()
            else f"there is no scenario {scenario}" if scenario not in names
            else f"{name} is listed twice" if name in found
            else ""
        )  # fmt: skip
        if problem:
            raise BadList(f"{path.name}, line {number}: {problem}")
        found[name] = message
    return found


def messages_of(ran: ScenarioResult, clause: str) -> list[str]:
    """Return the messages that a failure's line may have: each observation on one line, without names of this run."""
    names = short_names(ran.events)
    observed = (" ".join(shorten(violation.seen, names).split()) for violation in ran.by_clause()[clause].violations)
    return list(dict.fromkeys(message or "nothing" for message in observed))


def compare(listed: Mapping[str, str], scenarios: Iterable[ScenarioResult]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the failures that occurred as listed, and complaints about all others, with the lines to add.

    A listed message may be the beginning of an observed one. There are no complaints about scenarios that did not run
    or that ended with an error.
    """
    known, complaints = {}, []
    for ran in scenarios:
        broken = {
            clause: messages_of(ran, clause) for clause in in_order(violation.clause for violation in ran.violations)
        }
        for name, message in listed.items():
            clause, _, scenario = name.partition("/")
            if scenario != ran.name:
                continue
            observed = broken.get(clause, [])
            if any(text.startswith(message) for text in observed):
                known[name] = message
            elif observed:
                complaints.append(f"{name} is listed with another message; the line must be: {name} # {observed[0]}")
            elif not ran.errors:
                complaints.append(f"{name} is listed as a known failure and did not fail: remove it from the list")
        for clause, observed in broken.items():
            name = f"{clause}/{ran.name}"
            if name not in listed:
                complaints.append(f"{name} is not listed; add the line: {name} # {observed[0]}")
    return known, tuple(complaints)
