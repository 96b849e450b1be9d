"""LAY: what lies in the store, and in which order it came there."""

from __future__ import annotations

import base64
import json

from harness.checks.evidence import (
    MANIFEST,
    NOTHING,
    Evidence,
    Found,
    Task,
    Unknowable,
    Violation,
    as_expected,
    violation,
)
from harness.history import ObjectHeld

LEVELS = ("rows", "chain", "receipts")


def lay_1(evidence: Evidence) -> Found:
    """Judge LAY-1: every PUT of a success lies under the prefix of its version."""
    if not evidence.successes:
        return NOTHING
    prefixes = tuple(evidence.prefix(task) for task in evidence.successes)
    found = [
        violation("LAY-1", prefixes, event.key, event.number)
        for event in evidence.puts
        if not event.key.startswith(prefixes)
    ]
    missing = [one for one in prefixes if not any(key.startswith(one) for key in evidence.final.objects)]
    return found + [violation("LAY-1", f"objects under {one}", "none", evidence.final.number) for one in missing]


def lay_2(evidence: Evidence) -> Found:
    """Judge LAY-2: nothing but Cryo's Parquet files and the manifest is put there, every file a whole one."""
    if not evidence.successes:
        return NOTHING
    found = [
        violation("LAY-2", "Parquet files and the manifest alone", event.key, event.number)
        for event in evidence.puts
        if not event.key.endswith((".parquet", f"/{MANIFEST}")) or "/.cryo/" in event.key or "_tmp" in event.key
    ]
    for task in evidence.successes:
        held = evidence.held(task)
        for name in evidence.oracle(task):
            if name not in held or "unreadable" in (held[name].parquet or {"unreadable": ""}):
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
        names = {*evidence.oracle(task), MANIFEST}
        below = evidence.prefix(task)
        for event in evidence.puts:
            if event.key.startswith(below) and event.key.removeprefix(below) not in names:
                found.append(violation("LAY-9", sorted(names), event.key.removeprefix(below), event.number))
    return found


def lay_3(evidence: Evidence) -> Found:
    """Judge LAY-3: the manifest lists the keys of the range's files."""
    found = []
    for task in evidence.successes:
        manifest = evidence.manifest(task) or {}
        expected = sorted(evidence.prefix(task) + name for name in evidence.oracle(task))
        if sorted(manifest.get("parquet_keys") or []) != expected:
            found.append(violation("LAY-3", expected, manifest.get("parquet_keys"), evidence.final.number))
    return found if evidence.successes else NOTHING


def lay_4(evidence: Evidence) -> Found:
    """Judge LAY-4: exactly the four fields, the keys sorted."""
    found = []
    for task in evidence.successes:
        manifest = evidence.manifest(task) or {}
        keys = manifest.get("parquet_keys") or []
        fields = {
            "version": 1,
            "dataset_uuid": task.payload["dataset_uuid"].lower(),
            "dataset_version": evidence.version(task),
        }
        seen = {name: value for name, value in manifest.items() if name != "parquet_keys"}
        if seen != fields or keys != sorted(set(keys)) or manifest.get("version") is True:
            found.append(violation("LAY-4", fields, manifest, evidence.final.number))
    return found if evidence.successes else NOTHING


def lay_5(evidence: Evidence) -> Found:
    """Judge LAY-5: before the manifest is asked to be put, every file's PUT is over."""
    found, judged = [], False
    for event in evidence.puts:
        below, _, name = event.key.rpartition("/")
        if name != MANIFEST:
            continue
        judged = True
        files = [put for put in evidence.puts if put.key.startswith(f"{below}/") and put.key.endswith(".parquet")]
        # A later attempt without conditional writes may store again what was there: only the first PUT counts then.
        first = {put.key: put for put in reversed(files)}
        late = [put for put in files if put.number > event.began and (put.create_only or put is first[put.key])]
        found += [violation("LAY-5", "the manifest is written last", put.key, event.began, put.number) for put in late]
    for task in evidence.tasks:
        manifest = evidence.manifest(task) if isinstance(task.payload, dict) and task.succeeded else None
        for key in (manifest or {}).get("parquet_keys") or []:
            if key not in evidence.final.objects:
                found.append(violation("LAY-5", f"{key} can be read", "it is not there", evidence.final.number))
    return found if judged else NOTHING


def lay_6(evidence: Evidence) -> Found:
    """Judge LAY-6: the prefix holds the manifest and what it lists."""
    found = []
    for task in evidence.successes:
        listed = {
            key.removeprefix(evidence.prefix(task)) for key in (evidence.manifest(task) or {}).get("parquet_keys") or []
        }
        seen = set(evidence.held(task))
        if seen != listed | {MANIFEST}:
            found.append(violation("LAY-6", sorted(listed | {MANIFEST}), sorted(seen), evidence.final.number))
    return found if evidence.successes else NOTHING


def lay_7(evidence: Evidence) -> Found:
    """Judge LAY-7: the manifest's bytes are the one rendering of its content."""
    found = []
    for task in evidence.successes:
        held, manifest = evidence.held(task).get(MANIFEST), evidence.manifest(task)
        if held is None or manifest is None:
            found.append(violation("LAY-7", "a manifest", "none", evidence.final.number))
            continue
        order = ("version", "dataset_uuid", "dataset_version", "parquet_keys")
        expected = (
            json.dumps({name: manifest.get(name) for name in order}, separators=(",", ":"), ensure_ascii=False) + "\n"
        )
        if held.text != expected:
            found.append(violation("LAY-7", expected, held.text, evidence.final.number))
    return found if evidence.successes else NOTHING


def lay_8(evidence: Evidence) -> Found:
    """Judge LAY-8: the metadata says what the file is, and the PUT had a SHA-256 for the store to check."""
    if not evidence.successes or evidence.scenario.store == "directory":
        return NOTHING
    found = []
    for task in evidence.successes:
        for name, held in evidence.held(task).items():
            if name.endswith(".parquet"):
                found += _metadata(held, evidence.final.number)
    for event in evidence.puts:
        expected = base64.b64encode(bytes.fromhex(event.digest)).decode()
        if event.key.endswith(".parquet") and event.checksum != expected:
            found.append(violation("LAY-8", f"checksum {expected}", event.checksum, event.number))
    if not found and evidence.cannot_show("wrong checksums"):
        raise Unknowable("the store takes wrong checksums, so that it checks one can't be shown")
    return found


def _metadata(held: ObjectHeld, number: int) -> list[Violation]:
    facts = held.parquet or {}
    empty = facts.get("first") is None
    expected = {
        "sha256": held.digest,
        "rows": str(facts.get("rows")),
        "block-min": "" if empty else str(facts["first"]),
        "block-max": "" if empty else str(facts["last"]),
    }
    seen = {field: held.metadata.get(field) for field in expected}
    found = [violation("LAY-8", expected, seen, number)] if seen != expected else []
    level = held.metadata.get("evidence")
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
    for task in evidence.successes:
        # What was whole when the scenario began was not to be touched, its manifest neither.
        whole = [held for held in evidence.scenario.held if held.content == "whole"]
        names = list(evidence.oracle(task))
        for held in whole:
            key = evidence.prefix(task) + names[held.chunk]
            touched = [event for event in evidence.writes() if event.key == key]
            found += [violation("LAY-10", f"{key} is adopted", event.kind, event.number) for event in touched]
        if "LAY-10" in evidence.scenario.clauses:
            found += _other_rows(evidence, task)
    return found if "LAY-10" in evidence.scenario.clauses else (found or NOTHING)


def _other_rows(evidence: Evidence, task: Task) -> list[Violation]:
    """Find files of a success whose rows are not the range's: they were adopted, or believed, without a proof."""
    held = evidence.held(task)
    return [
        violation("LAY-10", f"{name}: what does not prove whole is replaced", "other rows", evidence.final.number)
        for name, facts in evidence.oracle(task).items()
        if name in held and (held[name].parquet or {}).get("digest") != facts["digest"]
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


CHECKS = {
    "LAY-1": lay_1, "LAY-2": lay_2, "LAY-9": lay_9, "LAY-3": lay_3, "LAY-4": lay_4, "LAY-5": lay_5, "LAY-6": lay_6,
    "LAY-7": lay_7, "LAY-8": lay_8, "LAY-10": lay_10, "LAY-11": lay_11,
}  # fmt: skip
