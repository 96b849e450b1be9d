"""PUB, MOD: publications, and the modes real and fake."""

from __future__ import annotations

from harness.checks.evidence import NOT_EXERCISED, Evidence, Findings, check_outcomes, violation
from harness.contract import MANIFEST_NAME
from harness.history import LogLine, RpcCall

ACCEPTED = 200
FIELDS = ("dataset_uuid", "dataset_version", "storage_ref", "config_hash", "range_start", "range_end")


def pub_1(evidence: Evidence) -> Findings:
    """Check PUB-1: a task that should succeed has one publication of exactly the six fields."""
    violations, exercised = [], False
    for task in evidence.tasks:
        if task.line.outcome != "success":
            continue
        exercised = True
        end = task.ends[-1] if task.ends else None
        published = end.publications if end else ()
        numbers = [end.number] if end else []
        if end is None or end.outcome != "success" or len(published) != 1:
            seen = f"{len(published)} publications, outcome: {end.outcome if end else 'not reported'}"
            violations.append(violation("PUB-1", "one publication", seen, *numbers))
            continue
        expected = {name: task.payload[name] for name in ("config_hash", "range_start", "range_end")}
        expected |= {"dataset_uuid": task.payload["dataset_uuid"].lower()}
        if set(published[0]) != set(FIELDS) or any(published[0][name] != value for name, value in expected.items()):
            expectation = f"the fields {', '.join(FIELDS)}, with {expected}"
            violations.append(violation("PUB-1", expectation, published[0], *numbers))
    return violations if exercised else NOT_EXERCISED


def pub_2(evidence: Evidence) -> Findings:
    """Check PUB-2: the storage reference names the prefix, with the scheme of the store."""
    violations = []
    for task in evidence.successes:
        prefix, location = evidence.prefix(task), evidence.start.bucket
        if evidence.scenario.store == "directory":
            expected = {"scheme": "file", "prefix": f"{location}/{prefix}", "glob": "*.parquet"}
        else:
            expected = {"scheme": "s3", "bucket": location, "prefix": prefix, "glob": "*.parquet"}
        for publication in task.ends[-1].publications:
            if publication.get("storage_ref") != expected:
                violations.append(violation("PUB-2", expected, publication.get("storage_ref"), task.ends[-1].number))
    return violations if evidence.successes else NOT_EXERCISED


def pub_3(evidence: Evidence) -> Findings:
    """Check PUB-3: no failed attempt publishes."""
    expected = "no publication from a failed attempt"
    ends = [end for task in evidence.tasks for end in task.ends if end.outcome != "success"]
    violations = [violation("PUB-3", expected, end.publications, end.number) for end in ends if end.publications]
    for event in evidence.completions:
        published = event.request.get("datasets_published")
        if published and event.request.get("outcome") != "success":
            violations.append(violation("PUB-3", expected, published, event.number))
    return violations if evidence.failures or violations else NOT_EXERCISED


def pub_4(evidence: Evidence) -> Findings:
    """Check PUB-4: the final manifest is stored before the publication is sent, and nothing changes after that."""
    violations = []
    for task in evidence.successes:
        prefix, sent = evidence.prefix(task), task.ends[-1].number
        key = prefix + MANIFEST_NAME
        final = evidence.final.objects.get(key)
        writes = [event for event in evidence.writes if event.key.startswith(prefix)]
        manifest_writes = [event for event in writes if event.key == key]
        before = [event for event in manifest_writes if event.number < sent]
        if final is None or (manifest_writes and not before) or (before and before[-1].digest != final.digest):
            numbers = [event.number for event in manifest_writes]
            seen = "it is missing" if final is None else "it was written later"
            expected = f"{key} is complete before the publication is sent"
            violations.append(violation("PUB-4", expected, seen, *numbers, sent))
        # Another task with the same payload may still be writing.
        if sum(other.payload == task.payload for other in evidence.tasks) == 1:
            expected = "no write below the prefix after the publication"
            late = [event for event in writes if event.request_number > sent]
            violations += [violation("PUB-4", expected, event.key, sent, event.request_number) for event in late]
    return violations if evidence.successes else NOT_EXERCISED


def pub_5(evidence: Evidence) -> Findings:
    """Check PUB-5: after a 409 to its completion, an attempt sends no further heartbeat or completion."""
    rejected = [event for event in evidence.completions if event.status == 409]
    if not rejected:
        return NOT_EXERCISED
    violations = []
    for event in rejected:
        later = [
            call for call in evidence.dispatcher_calls("complete", "heartbeat")
            if call.number > event.number and (call.task_id, call.attempt) == (event.task_id, event.attempt)
        ]  # fmt: skip
        violations += [violation("PUB-5", "no call after 409", call.kind, event.number, call.number) for call in later]
    return violations


def pub_6(evidence: Evidence) -> Findings:
    """Check PUB-6: each version is registered once."""
    if evidence.scenario.delivery != "worker" or not evidence.successes:
        return NOT_EXERCISED
    violations = []
    for task in evidence.successes:
        version = evidence.version(task)
        times = evidence.final.registered.get(version, 0)
        if times != 1:
            expected = f"version {version} is registered once"
            violations.append(violation("PUB-6", expected, f"{times} times", evidence.final.number))
        completions = [
            event for event in evidence.completions
            if event.task_id == task.task_id and event.request.get("outcome") == "success"
        ]  # fmt: skip
        accepted = [event.number for event in completions if event.status == ACCEPTED]
        later = [event.number for event in completions if accepted and event.number > accepted[0]]
        if later:
            expected = "no completion after the accepted one"
            violations.append(violation("PUB-6", expected, f"{len(later)} more completions", *later))
    return violations


def mod_1(evidence: Evidence) -> Findings:
    """Check MOD-1: fake mode calls no endpoint, and an unknown mode is a configuration error."""
    violations = check_outcomes(evidence, "MOD-1")
    if violations is not NOT_EXERCISED and evidence.scenario.mode == "fake":
        calls = evidence.of(RpcCall)
        violations += [violation("MOD-1", "no call to any endpoint", call.method, call.number) for call in calls[:3]]
    return violations


def mod_2(evidence: Evidence) -> Findings:
    """Check MOD-2: fake files have the rows of the chain with seed 0, and equal bytes in every attempt."""
    if evidence.scenario.mode != "fake" or not evidence.successes:
        return NOT_EXERCISED
    violations = []
    digests_by_name: dict[str, set[str]] = {}
    for event in evidence.puts:
        if event.key.endswith(".parquet"):
            digests_by_name.setdefault(event.key.rpartition("/")[2], set()).add(event.digest or "")
    violations += [
        violation("MOD-2", f"the same bytes in every PUT of {name}", f"SHA-256 {sorted(digests)}")
        for name, digests in digests_by_name.items()
        if len(digests) > 1
    ]
    for task in evidence.successes:
        objects = evidence.objects_of(task)
        for name, facts in evidence.oracle(task).items():
            stored = objects.get(name)
            if stored is None or (stored.parquet or {}).get("digest") != facts["digest"]:
                seen = "it is missing" if stored is None else "it has other rows"
                expected = f"{name} has the rows of the fake chain"
                violations.append(violation("MOD-2", expected, seen, evidence.final.number))
    return violations


def mod_3(evidence: Evidence) -> Findings:
    """Check MOD-3 by executables that can be run and others that can't."""
    return check_outcomes(evidence, "MOD-3")


def mod_4(evidence: Evidence) -> Findings:
    """Check MOD-4 by pools with and without a URL."""
    return check_outcomes(evidence, "MOD-4")


def mod_6(evidence: Evidence) -> Findings:
    """Check MOD-6 by pools whose names must be converted to names of variables."""
    return check_outcomes(evidence, "MOD-6")


def mod_7(evidence: Evidence) -> Findings:
    """Check MOD-7 by pools of several URLs."""
    return check_outcomes(evidence, "MOD-7")


def mod_5(evidence: Evidence) -> Findings:
    """Check MOD-5: files of fake mode, and no others, are marked as fake, and a warning is logged."""
    if not evidence.successes:
        return NOT_EXERCISED
    fake = evidence.scenario.mode == "fake"
    violations = []
    for task in evidence.successes:
        for name, stored in evidence.objects_of(task).items():
            if stored.parquet is not None and stored.parquet.get("fake") is not fake:
                expected = f"{name} is {'' if fake else 'not '}marked as fake"
                seen = f"it is {'not ' if fake else ''}marked"
                violations.append(violation("MOD-5", expected, seen, evidence.final.number))
    lines = [event.text.lower() for event in evidence.of(LogLine)]
    if fake and not any("warn" in line and "fake" in line for line in lines):
        expected = "a logged warning that the data are fake"
        violations.append(violation("MOD-5", expected, f"{len(lines)} log lines without one"))
    return violations if fake or violations else NOT_EXERCISED


CHECKS = {
    "PUB-1": pub_1, "PUB-2": pub_2, "PUB-3": pub_3, "PUB-4": pub_4, "PUB-5": pub_5, "PUB-6": pub_6, "MOD-1": mod_1,
    "MOD-2": mod_2, "MOD-3": mod_3, "MOD-4": mod_4, "MOD-6": mod_6, "MOD-7": mod_7, "MOD-5": mod_5,
}  # fmt: skip
