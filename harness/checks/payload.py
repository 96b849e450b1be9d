"""PAY, RNG, VER: what is read from a payload, and what it comes to."""

from __future__ import annotations

from harness.checks.evidence import (
    NOTHING,
    Evidence,
    Found,
    Task,
    as_expected,
    publications_of,
    violation,
)
from harness.contract import MANIFEST_NAME

BLOCKS = "--blocks"


def pay_1(evidence: Evidence) -> Found:
    """Judge PAY-1 by the outcome of good and bad payloads."""
    return as_expected(evidence, "PAY-1")


def pay_5(evidence: Evidence) -> Found:
    """Judge PAY-5 by the outcome of good and bad payloads."""
    return as_expected(evidence, "PAY-5")


def pay_2(evidence: Evidence) -> Found:
    """Judge PAY-2: nothing runs, nothing is written, and the message names the fields."""
    return _left_alone(evidence, "PAY-2")


def pay_3(evidence: Evidence) -> Found:
    """Judge PAY-3 by tasks whose payload has more than it needs."""
    return as_expected(evidence, "PAY-3")


def pay_4(evidence: Evidence) -> Found:
    """Judge PAY-4 as PAY-2."""
    return _left_alone(evidence, "PAY-4")


def _left_alone(evidence: Evidence, clause: str) -> Found:
    found = as_expected(evidence, clause)
    if found is NOTHING or any(task.line.outcome == "success" for task in evidence.tasks):
        return found
    found += [violation(clause, "Cryo is not started", event.arguments, event.number) for event in evidence.cryos()]
    found += [violation(clause, "nothing is written", event.key, event.number) for event in evidence.writes()]
    return found


def rng_1(evidence: Evidence) -> Found:
    """Judge RNG-1: the first Cryo of each attempt is asked for the whole range, the dataset first."""
    found, judged = [], False
    for task in evidence.tasks:
        for event in evidence.cryos(task)[:1] if task.extractable else ():
            judged = True
            expected = (task.payload["cryo_dataset_name"], f"{task.payload['range_start']}:{task.payload['range_end']}")
            seen = (event.arguments[0] if event.arguments else "", _blocks(event.arguments))
            if seen != expected:
                found.append(violation("RNG-1", expected, seen, event.number))
    return found if judged else NOTHING


def rng_2(evidence: Evidence) -> Found:
    """Judge RNG-2: the files of the range by name, no other, and no block outside."""
    found = []
    for task in evidence.successes:
        expected = evidence.oracle(task)
        seen = {name: stored for name, stored in evidence.stored(task).items() if name != MANIFEST_NAME}
        if set(seen) != set(expected):
            found.append(violation("RNG-2", sorted(expected), sorted(seen), evidence.final.number))
        for name, stored in seen.items():
            facts = stored.parquet or {}
            first, last = facts.get("first"), facts.get("last")
            if first is not None and not task.payload["range_start"] <= first <= last < task.payload["range_end"]:
                found.append(
                    violation("RNG-2", "blocks of the range", f"{name}: {first} to {last}", evidence.final.number)
                )
    return found if evidence.successes else NOTHING


def rng_3(evidence: Evidence) -> Found:
    """Judge RNG-3: no Cryo is for another dataset or for blocks outside the range."""
    found, judged = [], False
    for task in evidence.tasks:
        for event in evidence.cryos(task) if task.extractable else ():
            judged = True
            if not _within(task, event.arguments):
                found.append(violation("RNG-3", "the payload's dataset and range", event.arguments, event.number))
    return found if judged else NOTHING


def rng_4(evidence: Evidence) -> Found:
    """Judge RNG-4: what is published holds the chain's own rows, all of them; loss is not published."""
    found = as_expected(evidence, "RNG-4") or []
    for task in evidence.successes:
        stored = evidence.stored(task)
        for name, expected in evidence.oracle(task).items():
            facts = stored[name].parquet if name in stored else None
            if facts is None or facts.get("digest") != expected["digest"]:
                seen = "nothing" if facts is None else f"{facts.get('rows')} rows, not the same"
                found.append(
                    violation("RNG-4", f"{name}: {expected['rows']} rows of the chain", seen, evidence.final.number)
                )
    return found if evidence.successes or "RNG-4" in evidence.scenario.clauses else NOTHING


def rng_5(evidence: Evidence) -> Found:
    """Judge RNG-5: an endpoint of another chain or with a stale head is refused before Cryo starts."""
    return as_expected(evidence, "RNG-5")


def ver_1(evidence: Evidence) -> Found:
    """Judge VER-1: equal payloads are published under one version, by every attempt, the stale ones too."""
    by_payload: dict[str, list[str]] = {}
    for task in evidence.successes:
        published = {task.ends[-1].attempt: task.ends[-1].publications}
        for event in evidence.of("complete"):
            if event.task_id == task.task_id:
                published[event.attempt] = publications_of(event.request)
        seen = by_payload.setdefault(evidence.version(task), [])
        seen += [str(one.get("dataset_version")) for several in published.values() for one in several]
    if not any(len(seen) > 1 for seen in by_payload.values()):
        return NOTHING
    return [violation("VER-1", "one version", sorted(set(seen))) for seen in by_payload.values() if len(set(seen)) > 1]


def ver_2(evidence: Evidence) -> Found:
    """Judge VER-2: the version is the contract's UUIDv5."""
    found = []
    for task in evidence.successes:
        for publication in task.ends[-1].publications:
            if publication.get("dataset_version") != evidence.version(task):
                seen = publication.get("dataset_version")
                found.append(violation("VER-2", evidence.version(task), seen, task.ends[-1].number))
    return found if evidence.successes else NOTHING


def _blocks(arguments: tuple[str, ...]) -> str:
    return arguments[arguments.index(BLOCKS) + 1] if BLOCKS in arguments[:-1] else ""


def _within(task: Task, arguments: tuple[str, ...]) -> bool:
    if not arguments or arguments[0] != task.payload.get("cryo_dataset_name"):
        return False
    first, _, end = _blocks(arguments).partition(":")
    if not (first.isdigit() and end.isdigit()):
        return False
    return bool(task.payload["range_start"] <= int(first) < int(end) <= task.payload["range_end"])


CHECKS = {
    "PAY-1": pay_1, "PAY-5": pay_5, "PAY-2": pay_2, "PAY-3": pay_3, "PAY-4": pay_4,
    "RNG-1": rng_1, "RNG-2": rng_2, "RNG-3": rng_3, "RNG-4": rng_4, "RNG-5": rng_5, "VER-1": ver_1, "VER-2": ver_2,
}  # fmt: skip
