"""Groups the clauses by the headings of the contract, and shortens their texts."""

from __future__ import annotations

from collections.abc import Iterable

from harness.resources import clauses

TITLES = {
    "PAY": "The task payload",
    "RNG": "The range",
    "VER": "Identity",
    "LAY": "Storage layout",
    "PUB": "Publication",
    "MOD": "Modes and the RPC pool",
    "RPC": "The node's answers",
    "STG": "Staging",
    "CAP": "Caps",
    "OUT": "Outcomes and retries",
    "LSE": "Leases",
    "SEC": "Secrets",
}
SOURCES = {
    "S": "required by the specification",
    "W": "required by the platform",
    "+": "added by this project",
}
"""What the letter of a clause says; docs/contract.md explains it."""
SHORT, TOO_SHORT = 150, 20


def grouped(ids: Iterable[str]) -> dict[str, list[str]]:
    """Return clauses by the title of their group."""
    groups: dict[str, list[str]] = {}
    for clause in ids:
        group = clause.partition("-")[0]
        groups.setdefault(TITLES.get(group, group), []).append(clause)
    return groups


def short_text(clause: str) -> str:
    """Return the first sentence of a clause, or its beginning where that is long or a few words and a colon."""
    text = clauses()[clause]["text"].replace("`", "")
    end = next(
        (
            at
            for at, character in enumerate(text)
            if at > TOO_SHORT and character in ".:;" and text[at + 1 : at + 2] in {" ", ""}
        ),
        len(text),
    )
    return text[:end] if end <= SHORT else text[:SHORT].rsplit(" ", 1)[0] + " …"


def profiles_of(clause: str) -> tuple[str, ...]:
    """Return the profiles that have a clause."""
    return ("hardened",) if clauses()[clause]["source"] == "+" else ("core", "hardened")
