"""LAY: what lies in the store, and in which order it came there."""

from __future__ import annotations

import base64
import json

from harness.checks.evidence import (
    NOTHING,
    Evidence,
    Found,
    Inconclusive,
    Task,
    Violation,
    as_expected,
    violation,
)
from harness.contract import MANIFEST_NAME, payload_is_valid
from harness.history import FinalObject, StoreAnswered

LEVELS = ("rows", "chain", "receipts")
PROVED_ON_CHAIN = {"blocks", "transactions", "logs", "erc20_transfers", "erc721_transfers", "traces", "geth_calls"}
"""RNG-4: the others are proved by rows only."""


def lay_1(evidence: Evidence) -> Found:
    """Judge LAY-1: every PUT lies under the prefix of a task's version; none is ever in another bucket."""
    strays = [
        violation("LAY-1", f"objects in the bucket {evidence.begun.bucket} alone", event.key, event.number)
        for event in evidence.of("store_other")
        if event.operation in {"PUT", "DELETE"}
    ]
    allowed = tuple(evidence.prefix(task) for task in evidence.tasks if payload_is_valid(task.payload))
    strays += [
        violation("LAY-1", allowed or "no object, since no payload is right", event.key, event.number)
        for event in evidence.puts
        if not event.key.startswith(allowed)
    ]
    if not evidence.successes or strays:
        return strays or NOTHING
    prefixes = [evidence.prefix(task) for task in evidence.successes]
    missing = [one for one in prefixes if not any(key.startswith(one) for key in evidence.final.objects)]
    return [violation("LAY-1", f"objects under {one}", "none", evidence.final.number) for one in missing]


def lay_2(evidence: Evidence) -> Found:
    """Judge LAY-2: nothing but Cryo's Parquet files and the manifest is put there, every file a whole one."""
    if not evidence.successes:
        return NOTHING
    found = [
        violation("LAY-2", "Parquet files and the manifest alone", event.key, event.number)
        for event in evidence.puts
        if not event.key.endswith((".parquet", f"/{MANIFEST_NAME}")) or "/.cryo/" in event.key or "_tmp" in event.key
    ]
    for task in evidence.successes:
        stored = evidence.stored(task)
        for name in evidence.oracle(task):
            if name not in stored or "unreadable" in (stored[name].parquet or {"unreadable": ""}):
                found.append(violation("LAY-2", f"{name}, whole", "missing or unreadable", evidence.final.number))
    return found + _altered(evidence)


def _altered(evidence: Evidence) -> list[Violation]:
    """Find PUTs of bytes that Cryo did not write under that name; only a fake Cryo tells what it wrote."""
    written: dict[str, set[str]] = {}
    for event in evidence.of("cryo_wrote"):
        written.setdefault(event.name, set()).add(event.digest)
    return [
        violation("LAY-2", f"the bytes that Cryo wrote: SHA-256 {sorted(digests)}", event.digest, event.number)
        for event in evidence.puts
        if (digests := written.get(event.key.rpartition("/")[2])) and event.digest not in digests
    ]


def lay_9(evidence: Evidence) -> Found:
    """Judge LAY-9: each object is named as Cryo names the file, right below the prefix."""
    if not evidence.successes:
        return NOTHING
    found = []
    for task in evidence.successes:
        names = {*evidence.oracle(task), MANIFEST_NAME}
        below = evidence.prefix(task)
        for event in evidence.puts:
            if event.key.startswith(below) and event.key.removeprefix(below) not in names:
                found.append(violation("LAY-9", sorted(names), event.key.removeprefix(below), event.number))
    return found


def lay_3(evidence: Evidence) -> Found:
    """Judge LAY-3: the manifest lists the keys of the range's files."""
    found = []
    for task in evidence.successes:
        expected = sorted(evidence.prefix(task) + name for name in evidence.oracle(task))
        if sorted(evidence.listed(task)) != expected:
            seen = (evidence.manifest(task) or {}).get("parquet_keys", "no manifest that lists any")
            found.append(violation("LAY-3", expected, seen, evidence.final.number))
    return found if evidence.successes else NOTHING


def lay_4(evidence: Evidence) -> Found:
    """Judge LAY-4: exactly the four fields, the keys sorted."""
    found = []
    for task in evidence.successes:
        manifest = evidence.manifest(task) or {}
        keys = manifest.get("parquet_keys")
        fields = {
            "version": 1,
            "dataset_uuid": task.payload["dataset_uuid"].lower(),
            "dataset_version": evidence.version(task),
        }
        seen = {name: value for name, value in manifest.items() if name != "parquet_keys"}
        if seen != fields or keys != sorted(set(evidence.listed(task))) or type(manifest.get("version")) is not int:
            found.append(violation("LAY-4", fields, manifest, evidence.final.number))
    return found if evidence.successes else NOTHING


def lay_5(evidence: Evidence) -> Found:
    """Judge LAY-5: every file's PUT is over before the manifest's begins, and what it lists can be read, whole.

    A failed attempt that has put files and no manifest keeps the clause, too.
    """
    found, judged = [], bool(evidence.failures and evidence.puts)
    last = {event.key: event for event in evidence.puts if event.key.endswith(f"/{MANIFEST_NAME}")}
    for event in evidence.puts:
        below, _, name = event.key.rpartition("/")
        if name != MANIFEST_NAME:
            continue
        judged = True
        files = [put for put in evidence.puts if put.key.startswith(f"{below}/") and put.key.endswith(".parquet")]
        # A later attempt without conditional writes may store again what was there: only the first PUT counts then.
        first = {put.key: put for put in reversed(files)}
        late = [
            put
            for put in files
            if put.number > event.began
            and (put.create_only or put is first[put.key] or (event is last[event.key] and _is_news(put, files)))
        ]
        found += [violation("LAY-5", "the manifest is written last", put.key, event.began, put.number) for put in late]
    for task in evidence.tasks:
        if payload_is_valid(task.payload):
            found += _unreadable(evidence, task)
    return found if judged else NOTHING


def _unreadable(evidence: Evidence, task: Task) -> list[Violation]:
    """Find objects listed by a manifest of this run that are not there, or not what was put."""
    if not task.succeeded and all(put.key != evidence.prefix(task) + MANIFEST_NAME for put in evidence.puts):
        return []
    found = []
    for key in evidence.listed(task):
        stored = evidence.final.objects.get(key)
        sent = [put.digest for put in evidence.puts if put.key == key]
        if stored is None:
            seen = "it is not there"
        elif "unreadable" in (stored.parquet or {}):
            seen = f"{stored.size_bytes} bytes that can't be read"
        elif sent and sent[-1] != stored.digest:
            seen = "other bytes than were sent"
        else:
            continue
        found.append(violation("LAY-5", f"{key} can be read, whole", seen, evidence.final.number))
    return found


def _is_news(put: StoreAnswered, files: list[StoreAnswered]) -> bool:
    """Tell whether a PUT changed what an earlier one had stored."""
    before = [one for one in files if one.key == put.key and one.number < put.number]
    return not before or before[-1].digest != put.digest


def lay_6(evidence: Evidence) -> Found:
    """Judge LAY-6: the prefix holds the manifest and what it lists."""
    found = []
    for task in evidence.successes:
        listed = {key.removeprefix(evidence.prefix(task)) for key in evidence.listed(task)}
        seen = set(evidence.stored(task))
        if seen != listed | {MANIFEST_NAME}:
            found.append(violation("LAY-6", sorted(listed | {MANIFEST_NAME}), sorted(seen), evidence.final.number))
    return found if evidence.successes else NOTHING


def lay_7(evidence: Evidence) -> Found:
    """Judge LAY-7: the manifest's bytes are the one rendering of its content."""
    found = []
    for task in evidence.successes:
        stored, manifest = evidence.stored(task).get(MANIFEST_NAME), evidence.manifest(task)
        if stored is None or manifest is None:
            found.append(violation("LAY-7", "a manifest", "none", evidence.final.number))
            continue
        order = ("version", "dataset_uuid", "dataset_version", "parquet_keys")
        expected = (
            json.dumps({name: manifest.get(name) for name in order}, separators=(",", ":"), ensure_ascii=False) + "\n"
        )
        if stored.text != expected:
            found.append(violation("LAY-7", expected, stored.text, evidence.final.number))
    return found if evidence.successes else NOTHING


def lay_8(evidence: Evidence) -> Found:
    """Judge LAY-8: the metadata says what the file is, and the PUT had a SHA-256 for the store to check."""
    if not evidence.successes or evidence.scenario.store == "directory":
        return NOTHING
    found = []
    for task in evidence.successes:
        for name, stored in evidence.stored(task).items():
            if name.endswith(".parquet"):
                found += _metadata(stored, evidence.final.number)
    for event in evidence.puts:
        expected = base64.b64encode(bytes.fromhex(event.digest)).decode()
        if event.key.endswith(".parquet") and event.checksum != expected:
            found.append(violation("LAY-8", f"checksum {expected}", event.checksum, event.number))
    found += _claims(evidence)
    if not found and evidence.limitations("wrong checksums"):
        raise Inconclusive("the store takes wrong checksums, so that it checks one can't be shown")
    return found


def _claims(evidence: Evidence) -> list[Violation]:
    """Find files sent with another level of evidence than the one that was asked for and can have been proved."""
    scenario = evidence.scenario
    asked = scenario.environment.get("TRACE_COVERAGE", scenario.level if scenario.mode == "real" else "rows")
    receipts = any(event.method == "eth_getBlockReceipts" for event in evidence.of("rpc_call"))
    found = []
    for task in evidence.successes:
        dataset, below = task.payload["cryo_dataset_name"], evidence.prefix(task)
        highest = asked if dataset in PROVED_ON_CHAIN else "rows"
        allowed = {asked, highest} | ({"receipts"} if receipts and highest != "rows" else set())
        allowed = allowed if scenario.evidence is None else {scenario.evidence}
        for event in evidence.puts:
            if event.key.startswith(below) and event.key.endswith(".parquet"):
                claimed = event.metadata.get("evidence")
                if claimed not in allowed:
                    found.append(violation("LAY-8", f"evidence: {' or '.join(sorted(allowed))}", claimed, event.number))
    return found


def _metadata(stored: FinalObject, number: int) -> list[Violation]:
    facts = stored.parquet or {}
    empty = facts.get("first") is None
    expected = {
        "sha256": stored.digest,
        "rows": str(facts.get("rows")),
        "block-min": "" if empty else str(facts["first"]),
        "block-max": "" if empty else str(facts["last"]),
    }
    seen = {field: stored.metadata.get(field) for field in expected}
    found = [violation("LAY-8", expected, seen, number)] if seen != expected else []
    level = stored.metadata.get("evidence")
    return found if level in LEVELS else [*found, violation("LAY-8", f"evidence: {', '.join(LEVELS)}", level, number)]


def lay_10(evidence: Evidence) -> Found:
    """Judge LAY-10: no whole object is replaced, every PUT is conditional, and the version ends whole."""
    found = as_expected(evidence, "LAY-10") or []
    puts = evidence.of("object_put")
    found += [
        violation("LAY-10", "a conditional PUT", event.key, event.number)
        for event in puts
        if not event.create_only and event.if_match is None
    ]
    found += _replaced(evidence)
    for task in evidence.successes:
        if "LAY-10" in evidence.scenario.clauses:
            found += _other_rows(evidence, task)
    if "LAY-10" not in evidence.scenario.clauses:
        return found or NOTHING
    missing = [what for what in ("create-only races", "stale ETags") if evidence.limitations(what)]
    if missing and not found:
        raise Inconclusive(f"the store does not refuse {' and '.join(missing)}, so that nothing is shown to be kept")
    return found


def _replaced(evidence: Evidence) -> list[Violation]:
    """Find complete objects, there when the scenario began, that were replaced or deleted.

    A create-only PUT of the very bytes that are stored is a probe: only a store that ignores conditions takes it, and
    then nothing of the data has changed.
    """
    task, whole = (
        evidence.tasks[0],
        [stored for stored in evidence.scenario.preloaded_objects if stored.content == "whole"],
    )
    if not whole or not payload_is_valid(task.payload):
        return []
    names = list(evidence.oracle(task))
    keys = {evidence.prefix(task) + names[stored.chunk] for stored in whole if stored.dataset is None}
    stored = evidence.begun.preloaded
    return [
        violation("LAY-10", f"{event.key} is adopted", event.kind, event.number)
        for event in evidence.writes()
        if event.key in keys and not (event.create_only and event.digest == stored.get(event.key))
    ]


def _other_rows(evidence: Evidence, task: Task) -> list[Violation]:
    """Find files of a success whose rows are not the range's: they were adopted, or believed, without a proof."""
    stored = evidence.stored(task)
    return [
        violation("LAY-10", f"{name}: what does not prove whole is replaced", "other rows", evidence.final.number)
        for name, facts in evidence.oracle(task).items()
        if name in stored and (stored[name].parquet or {}).get("digest") != facts["digest"]
    ]


def lay_11(evidence: Evidence) -> Found:
    """Judge LAY-11: the other mode's data are named and stay as they are."""
    found = as_expected(evidence, "LAY-11", "fatal_error")
    if found is NOTHING:
        return NOTHING
    last = max((event.number for event in evidence.of("worker_started")), default=0)
    return found + [
        violation("LAY-11", "nothing is changed", event.key, event.number)
        for event in evidence.writes()
        if event.number > last
    ]


def lay_12(evidence: Evidence) -> Found:
    """Judge LAY-12: published data of another dataset are reported as fatal, and stay as they are."""
    found = as_expected(evidence, "LAY-12", "fatal_error")
    if found is NOTHING:
        return NOTHING
    for task in evidence.tasks:
        if task.line.outcome != "fatal_error":
            continue
        below, began = evidence.prefix(task), _began(evidence, task)
        found += [
            violation("LAY-12", "nothing is replaced or deleted", f"{event.kind} {event.key}", event.number)
            for event in evidence.writes()
            if event.number > began and event.key.startswith(below)
        ]
        # A directory has no requests in the history: there the final state alone shows what was changed.
        listed = set(evidence.listed(task))
        if not listed - {below + name for name in evidence.oracle(task)}:
            expected = f"{below}{MANIFEST_NAME} is still the other dataset's"
            found.append(violation("LAY-12", expected, sorted(listed), evidence.final.number))
        gone = sorted(listed - set(evidence.final.objects))
        found += [violation("LAY-12", f"{key} stays", "it is gone", evidence.final.number) for key in gone]
    return found


def _began(evidence: Evidence, task: Task) -> int:
    """Return the number of the event with which a task's first attempt begins, 0 where there is none."""
    starts = [event.number for event in evidence.of("worker_started") if event.task == task.place]
    starts += [event.number for event in evidence.of("claim") if event.task_id == task.task_id]
    return min(starts, default=0)


CHECKS = {
    "LAY-1": lay_1, "LAY-2": lay_2, "LAY-9": lay_9, "LAY-3": lay_3, "LAY-4": lay_4, "LAY-5": lay_5, "LAY-6": lay_6,
    "LAY-7": lay_7, "LAY-8": lay_8, "LAY-10": lay_10, "LAY-12": lay_12,
    "LAY-11": lay_11,
}  # fmt: skip
