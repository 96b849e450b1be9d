"""LAY: which objects are in the store, what they hold, and in which order they were written."""

from __future__ import annotations

import base64
import json

from harness.checks.evidence import (
    NOT_EXERCISED,
    Evidence,
    Findings,
    Inconclusive,
    TaskEvidence,
    Violation,
    check_outcomes,
    violation,
)
from harness.contract import CHAIN_LEVEL_DATASETS, LEVELS, MANIFEST_NAME, payload_is_valid
from harness.history import CryoWrote, FinalObject, RpcCall, StoreResponse, WorkerStarted


def lay_1(evidence: Evidence) -> Findings:
    """Check LAY-1: every PUT is below the prefix of a task's version, and none goes to another bucket."""
    violations = [
        violation("LAY-1", f"writes to the bucket {evidence.start.bucket} only", event.key, event.number)
        for event in evidence.store_responses("store_other")
        if event.operation in {"PUT", "DELETE"}
    ]
    allowed = tuple(evidence.prefix(task) for task in evidence.tasks if payload_is_valid(task.payload))
    expected = f"a key below {' or '.join(allowed)}" if allowed else "no object, because no payload is valid"
    violations += [
        violation("LAY-1", expected, event.key, event.number)
        for event in evidence.puts
        if not event.key.startswith(allowed)
    ]
    if not evidence.successes or violations:
        return violations or NOT_EXERCISED
    prefixes = [evidence.prefix(task) for task in evidence.successes]
    empty = [prefix for prefix in prefixes if not any(key.startswith(prefix) for key in evidence.final.objects)]
    return [violation("LAY-1", f"objects below {prefix}", "none", evidence.final.number) for prefix in empty]


def lay_2(evidence: Evidence) -> Findings:
    """Check LAY-2: only Cryo's Parquet files and the manifest are written, and every file is complete."""
    if not evidence.successes:
        return NOT_EXERCISED
    violations = [
        violation("LAY-2", "only Parquet files and the manifest are written", event.key, event.number)
        for event in evidence.puts
        if not event.key.endswith((".parquet", f"/{MANIFEST_NAME}")) or "/.cryo/" in event.key or "_tmp" in event.key
    ]
    for task in evidence.successes:
        objects = evidence.objects_of(task)
        for name in evidence.oracle(task):
            if name not in objects or "unreadable" in (objects[name].parquet or {"unreadable": ""}):
                seen = "it is unreadable" if name in objects else "it is missing"
                violations.append(violation("LAY-2", f"{name} is complete", seen, evidence.final.number))
    return violations + _altered_files(evidence)


def _altered_files(evidence: Evidence) -> list[Violation]:
    """Find PUTs of bytes that Cryo did not write under that name; only fake Cryo reports what it wrote."""
    written: dict[str, set[str]] = {}
    for event in evidence.of(CryoWrote):
        written.setdefault(event.name, set()).add(event.digest)
    return [
        violation("LAY-2", f"the bytes that Cryo wrote: SHA-256 {sorted(digests)}", put.digest, put.number)
        for put in evidence.puts
        if (digests := written.get(put.key.rpartition("/")[2])) and put.digest not in digests
    ]


def lay_9(evidence: Evidence) -> Findings:
    """Check LAY-9: each object has the name that Cryo gives the file, directly below the prefix."""
    if not evidence.successes:
        return NOT_EXERCISED
    violations = []
    for task in evidence.successes:
        names = {*evidence.oracle(task), MANIFEST_NAME}
        prefix = evidence.prefix(task)
        for event in evidence.puts:
            name = event.key.removeprefix(prefix)
            if event.key.startswith(prefix) and name not in names:
                violations.append(violation("LAY-9", f"one of the names {sorted(names)}", name, event.number))
    return violations


def lay_3(evidence: Evidence) -> Findings:
    """Check LAY-3: the manifest lists the keys of the range's files."""
    violations = []
    for task in evidence.successes:
        expected = sorted(evidence.prefix(task) + name for name in evidence.oracle(task))
        if sorted(evidence.manifest_keys(task)) != expected:
            seen = (evidence.manifest(task) or {}).get("parquet_keys", "no manifest with parquet_keys")
            violations.append(violation("LAY-3", expected, seen, evidence.final.number))
    return violations if evidence.successes else NOT_EXERCISED


def lay_4(evidence: Evidence) -> Findings:
    """Check LAY-4: the manifest has exactly the four fields, and the keys are sorted."""
    violations = []
    for task in evidence.successes:
        manifest = evidence.manifest(task) or {}
        keys = manifest.get("parquet_keys")
        expected = {
            "version": 1,
            "dataset_uuid": task.payload["dataset_uuid"].lower(),
            "dataset_version": evidence.version(task),
        }
        others = {name: value for name, value in manifest.items() if name != "parquet_keys"}
        sorted_keys = sorted(set(evidence.manifest_keys(task)))
        if others != expected or keys != sorted_keys or type(manifest.get("version")) is not int:
            expectation = f"{expected} and parquet_keys, sorted"
            violations.append(violation("LAY-4", expectation, manifest, evidence.final.number))
    return violations if evidence.successes else NOT_EXERCISED


def lay_5(evidence: Evidence) -> Findings:
    """Check LAY-5: each file's PUT ends before the manifest's PUT begins, and each listed object is readable.

    A failed attempt that wrote files but no manifest also meets the clause.
    """
    violations, exercised = [], bool(evidence.failures and evidence.puts)
    last = {event.key: event for event in evidence.puts if event.key.endswith(f"/{MANIFEST_NAME}")}
    for event in evidence.puts:
        folder, _, name = event.key.rpartition("/")
        if name != MANIFEST_NAME:
            continue
        exercised = True
        files = [put for put in evidence.puts if put.key.startswith(f"{folder}/") and put.key.endswith(".parquet")]
        # A later attempt without conditional writes may store a file again: then only the first PUT of it counts.
        first = {put.key: put for put in reversed(files)}
        late = [
            put
            for put in files
            if put.number > event.request_number
            and (put.create_only or put is first[put.key] or (event is last[event.key] and _changes_bytes(put, files)))
        ]
        expected = "the manifest is written last"
        violations += [violation("LAY-5", expected, put.key, event.request_number, put.number) for put in late]
    for task in evidence.tasks:
        if payload_is_valid(task.payload):
            violations += _unreadable_objects(evidence, task)
    return violations if exercised else NOT_EXERCISED


def _unreadable_objects(evidence: Evidence, task: TaskEvidence) -> list[Violation]:
    """Find objects listed in a manifest of this run that are missing, unreadable, or differ from what was sent."""
    if not task.succeeded and all(put.key != evidence.prefix(task) + MANIFEST_NAME for put in evidence.puts):
        return []
    violations = []
    for key in evidence.manifest_keys(task):
        stored = evidence.final.objects.get(key)
        sent = [put.digest for put in evidence.puts if put.key == key]
        if stored is None:
            seen = "it is missing"
        elif "unreadable" in (stored.parquet or {}):
            seen = f"{stored.size_bytes} bytes that can't be read"
        elif sent and sent[-1] != stored.digest:
            seen = "its bytes differ from those that were sent"
        else:
            continue
        violations.append(violation("LAY-5", f"{key} can be read completely", seen, evidence.final.number))
    return violations


def _changes_bytes(put: StoreResponse, files: list[StoreResponse]) -> bool:
    """Return whether a PUT stored a new object or other bytes than the PUT of that key before it."""
    before = [file for file in files if file.key == put.key and file.number < put.number]
    return not before or before[-1].digest != put.digest


def lay_6(evidence: Evidence) -> Findings:
    """Check LAY-6: the prefix holds the manifest and the listed objects, and nothing else."""
    violations = []
    for task in evidence.successes:
        prefix = evidence.prefix(task)
        expected = {key.removeprefix(prefix) for key in evidence.manifest_keys(task)} | {MANIFEST_NAME}
        seen = set(evidence.objects_of(task))
        if seen != expected:
            violations.append(violation("LAY-6", sorted(expected), sorted(seen), evidence.final.number))
    return violations if evidence.successes else NOT_EXERCISED


def lay_7(evidence: Evidence) -> Findings:
    """Check LAY-7: the manifest's bytes are the canonical form of its content."""
    violations = []
    for task in evidence.successes:
        stored, manifest = evidence.objects_of(task).get(MANIFEST_NAME), evidence.manifest(task)
        if stored is None or manifest is None:
            violations.append(violation("LAY-7", "a manifest", "none", evidence.final.number))
            continue
        order = ("version", "dataset_uuid", "dataset_version", "parquet_keys")
        expected = (
            json.dumps({name: manifest.get(name) for name in order}, separators=(",", ":"), ensure_ascii=False) + "\n"
        )
        if stored.text != expected:
            violations.append(violation("LAY-7", expected, stored.text, evidence.final.number))
    return violations if evidence.successes else NOT_EXERCISED


def lay_8(evidence: Evidence) -> Findings:
    """Check LAY-8: each file has the right metadata, and its PUT had a SHA-256 checksum for the store to verify."""
    if not evidence.successes or evidence.scenario.store == "directory":
        return NOT_EXERCISED
    violations = []
    for task in evidence.successes:
        for name, stored in evidence.objects_of(task).items():
            if name.endswith(".parquet"):
                violations += _wrong_metadata(stored, evidence.final.number)
    for event in evidence.puts:
        expected = base64.b64encode(bytes.fromhex(event.digest or "")).decode()
        if event.key.endswith(".parquet") and event.checksum != expected:
            violations.append(violation("LAY-8", f"checksum {expected}", event.checksum, event.number))
    violations += _wrong_evidence_levels(evidence)
    if not violations and evidence.store_has_limitation("wrong checksums"):
        raise Inconclusive("the store accepts wrong checksums, so this run can't show that it verifies them")
    return violations


def _wrong_evidence_levels(evidence: Evidence) -> list[Violation]:
    """Find files whose `evidence` metadata is not the requested level or the highest that could be proved."""
    scenario = evidence.scenario
    requested = scenario.environment.get("TRACE_COVERAGE", scenario.level if scenario.mode == "real" else "rows")
    receipts_read = any(event.method == "eth_getBlockReceipts" for event in evidence.of(RpcCall))
    violations = []
    for task in evidence.successes:
        dataset, prefix = task.payload["cryo_dataset_name"], evidence.prefix(task)
        highest = requested if dataset in CHAIN_LEVEL_DATASETS else "rows"
        allowed = {requested, highest} | ({"receipts"} if receipts_read and highest != "rows" else set())
        allowed = allowed if scenario.evidence is None else {scenario.evidence}
        for event in evidence.puts:
            if event.key.startswith(prefix) and event.key.endswith(".parquet"):
                level = event.metadata.get("evidence")
                if level not in allowed:
                    expected = f"evidence: {' or '.join(sorted(allowed))}"
                    violations.append(violation("LAY-8", expected, level, event.number))
    return violations


def _wrong_metadata(stored: FinalObject, number: int) -> list[Violation]:
    facts = stored.parquet or {}
    empty = facts.get("first") is None
    expected = {
        "sha256": stored.digest,
        "rows": str(facts.get("rows")),
        "block-min": "" if empty else str(facts["first"]),
        "block-max": "" if empty else str(facts["last"]),
    }
    seen = {name: stored.metadata.get(name) for name in expected}
    violations = [violation("LAY-8", expected, seen, number)] if seen != expected else []
    level = stored.metadata.get("evidence")
    if level not in LEVELS:
        violations.append(violation("LAY-8", f"evidence: {' or '.join(LEVELS)}", level, number))
    return violations


def lay_10(evidence: Evidence) -> Findings:
    """Check LAY-10: no complete object is replaced, every PUT is conditional, and the final version is complete."""
    violations = check_outcomes(evidence, "LAY-10") or []
    violations += [
        violation("LAY-10", "a conditional PUT", f"an unconditional PUT of {event.key}", event.number)
        for event in evidence.store_responses("object_put")
        if not event.create_only and event.if_match is None
    ]
    violations += _replaced_objects(evidence)
    if "LAY-10" not in evidence.scenario.clauses:
        return violations or NOT_EXERCISED
    for task in evidence.successes:
        violations += _files_with_other_rows(evidence, task)
    missing = [name for name in ("create-only races", "stale ETags") if evidence.store_has_limitation(name)]
    if missing and not violations:
        raise Inconclusive(f"the store does not reject {' and '.join(missing)}, so this run can't show the clause")
    return violations


def _replaced_objects(evidence: Evidence) -> list[Violation]:
    """Find complete objects from before the run that were replaced or deleted.

    A create-only PUT of the bytes that are already stored is a probe. Only a store that ignores conditions accepts it,
    and then no data has changed.
    """
    task = evidence.tasks[0]
    complete = [preloaded for preloaded in evidence.scenario.preloaded_objects if preloaded.content == "whole"]
    if not complete or not payload_is_valid(task.payload):
        return []
    names = list(evidence.oracle(task))
    keys = {evidence.prefix(task) + names[preloaded.chunk] for preloaded in complete if preloaded.dataset is None}
    digests = evidence.start.preloaded
    return [
        violation("LAY-10", f"{event.key} is adopted unchanged", event.kind, event.number)
        for event in evidence.writes
        if event.key in keys and not (event.create_only and event.digest == digests.get(event.key))
    ]


def _files_with_other_rows(evidence: Evidence, task: TaskEvidence) -> list[Violation]:
    """Find files of a success whose rows are not those of the range: they were adopted without a proof."""
    objects = evidence.objects_of(task)
    return [
        violation("LAY-10", f"{name} has the rows of the range", "other rows", evidence.final.number)
        for name, facts in evidence.oracle(task).items()
        if name in objects and (objects[name].parquet or {}).get("digest") != facts["digest"]
    ]


def lay_11(evidence: Evidence) -> Findings:
    """Check LAY-11: data of the other mode are reported and stay unchanged."""
    violations = check_outcomes(evidence, "LAY-11", "fatal_error")
    if violations is NOT_EXERCISED:
        return NOT_EXERCISED
    for task in evidence.tasks:
        if task.line.outcome == "fatal_error" and payload_is_valid(task.payload):
            violations += _changes(evidence, task, "LAY-11", "no object is changed")
    return violations


def _changes(evidence: Evidence, task: TaskEvidence, clause: str, expected: str) -> list[Violation]:
    """Return a violation for each write below a task's prefix since its first attempt began."""
    prefix, start = evidence.prefix(task), _first_attempt_start(evidence, task)
    return [
        violation(clause, expected, f"{event.kind} {event.key}", event.number)
        for event in evidence.writes
        if event.number > start and event.key.startswith(prefix)
    ]


def lay_12(evidence: Evidence) -> Findings:
    """Check LAY-12: published data of another dataset are reported as a fatal error and stay unchanged."""
    violations = check_outcomes(evidence, "LAY-12", "fatal_error")
    if violations is NOT_EXERCISED:
        return NOT_EXERCISED
    for task in evidence.tasks:
        if task.line.outcome != "fatal_error":
            continue
        prefix = evidence.prefix(task)
        violations += _changes(evidence, task, "LAY-12", "no object is replaced or deleted")
        # The history has no requests to a directory store: there only the final state shows a change.
        keys = set(evidence.manifest_keys(task))
        if not keys - {prefix + name for name in evidence.oracle(task)}:
            expected = f"{prefix}{MANIFEST_NAME} still lists the files of the other dataset"
            violations.append(violation("LAY-12", expected, sorted(keys), evidence.final.number))
        missing = sorted(keys - set(evidence.final.objects))
        violations += [
            violation("LAY-12", f"{key} still exists", "it was deleted", evidence.final.number) for key in missing
        ]
    return violations


def _first_attempt_start(evidence: Evidence, task: TaskEvidence) -> int:
    """Return the number of the event that starts a task's first attempt, or 0 if there is none."""
    starts = [event.number for event in evidence.of(WorkerStarted) if event.task == task.index]
    starts += [event.number for event in evidence.claims if event.task_id == task.task_id]
    return min(starts, default=0)


CHECKS = {
    "LAY-1": lay_1, "LAY-2": lay_2, "LAY-9": lay_9, "LAY-3": lay_3, "LAY-4": lay_4, "LAY-5": lay_5, "LAY-6": lay_6,
    "LAY-7": lay_7, "LAY-8": lay_8, "LAY-10": lay_10, "LAY-12": lay_12,
    "LAY-11": lay_11,
}  # fmt: skip
