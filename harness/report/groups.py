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
SOURCES = {"S": "the specification", "W": "the platform", "+": "hardened"}
SHORT = 150


def grouped(ids: Iterable[str]) -> dict[str, list[str]]:
    """Return clauses by the title of their group."""
    groups: dict[str, list[str]] = {}
    for clause in ids:
        group = clause.partition("-")[0]
        groups.setdefault(TITLES.get(group, group), []).append(clause)
    return groups


def short_text(clause: str) -> str:
    """Return the first sentence of a clause, or its beginning where that is long."""
    text = clauses()[clause]["text"].replace("`", "")
    end = next(
        (at for at, character in enumerate(text) if character in ".:;" and text[at + 1 : at + 2] in {" ", ""}),
        len(text),
    )
    return text[:end] if end <= SHORT else text[:SHORT].rsplit(" ", 1)[0] + " …"
