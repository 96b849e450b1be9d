"""PAY, RNG, VER: payload validation, the range, the version."""

from __future__ import annotations

from typing import Any

from harness.checks.evidence import (
    NOT_EXERCISED,
    Evidence,
    Findings,
    TaskEvidence,
    check_outcomes,
    publications_of,
    violation,
)
from harness.contract import MANIFEST_NAME

BLOCKS = "--blocks"


def pay_1(evidence: Evidence) -> Findings:
    """Check PAY-1 by the outcomes of valid and invalid payloads."""
    return check_outcomes(evidence, "PAY-1")


def pay_5(evidence: Evidence) -> Findings:
    """Check PAY-5 by the outcomes of valid and invalid payloads."""
    return check_outcomes(evidence, "PAY-5")


def pay_2(evidence: Evidence) -> Findings:
    """Check PAY-2: Cryo is not started, nothing is written, and the message names the fields."""
    return _no_effects(evidence, "PAY-2")


def pay_3(evidence: Evidence) -> Findings:
    """Check PAY-3 by tasks whose payload has additional fields."""
    return check_outcomes(evidence, "PAY-3")


def pay_4(evidence: Evidence) -> Findings:
    """Check PAY-4: Cryo is not started, nothing is written, and the message names the fields."""
    return _no_effects(evidence, "PAY-4")


def _no_effects(evidence: Evidence, clause: str) -> Findings:
    violations = check_outcomes(evidence, clause)
    if violations is NOT_EXERCISED or any(task.line.outcome == "success" for task in evidence.tasks):
        return violations
    violations += [
        violation(clause, "Cryo is not started", event.arguments, event.number) for event in evidence.cryo_starts()
    ]
    violations += [violation(clause, "nothing is written", event.key, event.number) for event in evidence.writes]
    return violations


def rng_1(evidence: Evidence) -> Findings:
    """Check RNG-1: the first Cryo of each attempt gets the dataset as first argument, and the whole range."""
    violations, exercised = [], False
    for task in evidence.tasks:
        for event in evidence.cryo_starts(task)[:1] if task.may_start_cryo else ():
            exercised = True
            expected = (task.payload["cryo_dataset_name"], f"{task.payload['range_start']}:{task.payload['range_end']}")
            seen = (event.arguments[0] if event.arguments else "", _blocks(event.arguments))
            if seen != expected:
                violations.append(violation("RNG-1", expected, seen, event.number))
    return violations if exercised else NOT_EXERCISED


def rng_2(evidence: Evidence) -> Findings:
    """Check RNG-2: the stored files are those of the range by name, and no block is outside the range.

    A range that should not have been published counts too: part of it may be missing.
    """
    violations = []
    unexpected = [
        task for task in evidence.tasks
        if task.line.outcome == "retryable_error" and task.ends and task.ends[-1].outcome == "success"
    ]  # fmt: skip
    for task in (*evidence.successes, *unexpected):
        expected = evidence.oracle(task)
        files = {name: stored for name, stored in evidence.objects_of(task).items() if name != MANIFEST_NAME}
        if set(files) != set(expected):
            violations.append(violation("RNG-2", sorted(expected), sorted(files), evidence.final.number))
        start, end = task.payload["range_start"], task.payload["range_end"]
        for name, stored in files.items():
            facts = stored.parquet or {}
            first, last = facts.get("first"), facts.get("last")
            if first is not None and not start <= first <= last < end:
                seen = f"{name} has blocks {first} to {last}"
                violations.append(violation("RNG-2", f"blocks from [{start}, {end})", seen, evidence.final.number))
    return violations if evidence.successes else violations or NOT_EXERCISED


def rng_3(evidence: Evidence) -> Findings:
    """Check RNG-3: no Cryo is started for another dataset or for blocks outside the range."""
    violations, exercised = [], False
    for task in evidence.tasks:
        for event in evidence.cryo_starts(task) if task.may_start_cryo else ():
            exercised = True
            if not _is_within_task(task, event.arguments):
                violations.append(violation("RNG-3", "the payload's dataset and range", event.arguments, event.number))
    return violations if exercised else NOT_EXERCISED


def rng_4(evidence: Evidence) -> Findings:
    """Check RNG-4: published files hold exactly the rows of the chain, and incomplete data are not published."""
    violations = check_outcomes(evidence, "RNG-4") or []
    for task in evidence.successes:
        objects = evidence.objects_of(task)
        for name, expected in evidence.oracle(task).items():
            facts = objects[name].parquet if name in objects else None
            if facts is None or facts.get("digest") != expected["digest"]:
                seen = "no such file" if facts is None else f"{facts.get('rows')} rows with other content"
                expectation = f"{name} has the {expected['rows']} rows of the chain"
                violations.append(violation("RNG-4", expectation, seen, evidence.final.number))
    return violations if evidence.successes or "RNG-4" in evidence.scenario.clauses else NOT_EXERCISED


def rng_5(evidence: Evidence) -> Findings:
    """Check RNG-5: an endpoint of another chain or with a stale head is rejected before Cryo starts."""
    return check_outcomes(evidence, "RNG-5")


def ver_1(evidence: Evidence) -> Findings:
    """Check VER-1: every attempt with an equal payload, including stale ones, publishes the same version."""
    published_versions: dict[str, list[str]] = {}
    for task in evidence.successes:
        end = task.ends[-1]
        by_attempt: dict[int | None, tuple[dict[str, Any], ...]] = {end.attempt: end.publications}
        for event in evidence.completions:
            if event.task_id == task.task_id:
                by_attempt[event.attempt] = publications_of(event.request)
        versions = published_versions.setdefault(evidence.version(task), [])
        versions += [str(item.get("dataset_version")) for items in by_attempt.values() for item in items]
    if not any(len(versions) > 1 for versions in published_versions.values()):
        return NOT_EXERCISED
    return [
        violation("VER-1", "the same version in each publication", sorted(set(versions)))
        for versions in published_versions.values()
        if len(set(versions)) > 1
    ]


def ver_2(evidence: Evidence) -> Findings:
    """Check VER-2: the published version is the UUIDv5 that the contract defines."""
    violations = []
    for task in evidence.successes:
        for publication in task.ends[-1].publications:
            seen = publication.get("dataset_version")
            if seen != evidence.version(task):
                violations.append(violation("VER-2", evidence.version(task), seen, task.ends[-1].number))
    return violations if evidence.successes else NOT_EXERCISED


def _blocks(arguments: tuple[str, ...]) -> str:
    return arguments[arguments.index(BLOCKS) + 1] if BLOCKS in arguments[:-1] else ""


def _is_within_task(task: TaskEvidence, arguments: tuple[str, ...]) -> bool:
    """Return whether Cryo's arguments name the task's dataset and blocks within its range."""
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
