"""PUB, MOD: what is published, and what the two modes promise."""

from __future__ import annotations

from harness.checks.evidence import NOTHING, Evidence, Found, as_expected, violation
from harness.contract import MANIFEST_NAME

ACCEPTED = 200
FIELDS = ("dataset_uuid", "dataset_version", "storage_ref", "config_hash", "range_start", "range_end")


def pub_1(evidence: Evidence) -> Found:
    """Judge PUB-1: a task that should succeed publishes one publication of exactly the six fields."""
    found, judged = [], False
    for task in evidence.tasks:
        if task.line.outcome != "success":
            continue
        judged = True
        end = task.ends[-1] if task.ends else None
        published = end.publications if end else ()
        numbers = [end.number] if end else []
        if end is None or end.outcome != "success" or len(published) != 1:
            seen = f"{len(published)} publications, {end.outcome if end else 'no report'}"
            found.append(violation("PUB-1", "one publication", seen, *numbers))
            continue
        expected = {name: task.payload[name] for name in ("config_hash", "range_start", "range_end")}
        expected |= {"dataset_uuid": task.payload["dataset_uuid"].lower()}
        if set(published[0]) != set(FIELDS) or any(published[0][name] != value for name, value in expected.items()):
            found.append(violation("PUB-1", f"{', '.join(FIELDS)}: {expected}", published[0], *numbers))
    return found if judged else NOTHING


def pub_2(evidence: Evidence) -> Found:
    """Judge PUB-2: the storage reference leads to the prefix, by the store's scheme."""
    found = []
    for task in evidence.successes:
        prefix = evidence.prefix(task)
        if evidence.scenario.store == "directory":
            expected = {"scheme": "file", "prefix": f"{evidence.begun.bucket}/{prefix}", "glob": "*.parquet"}
        else:
            expected = {"scheme": "s3", "bucket": evidence.begun.bucket, "prefix": prefix, "glob": "*.parquet"}
        for publication in task.ends[-1].publications:
            if publication.get("storage_ref") != expected:
                found.append(violation("PUB-2", expected, publication.get("storage_ref"), task.ends[-1].number))
    return found if evidence.successes else NOTHING


def pub_3(evidence: Evidence) -> Found:
    """Judge PUB-3: no attempt that fails publishes."""
    ends = [end for task in evidence.tasks for end in task.ends if end.outcome != "success"]
    found = [violation("PUB-3", "no publication", end.publications, end.number) for end in ends if end.publications]
    for event in evidence.of("complete"):
        published = event.request.get("datasets_published")
        if published and event.request.get("outcome") != "success":
            found.append(violation("PUB-3", "no publication", published, event.number))
    return found if evidence.failures or found else NOTHING


def pub_4(evidence: Evidence) -> Found:
    """Judge PUB-4: the very manifest that is there at the end is stored when the publication is sent, and stays."""
    found = []
    for task in evidence.successes:
        below, sent = evidence.prefix(task), task.ends[-1].number
        key = below + MANIFEST_NAME
        final = evidence.final.objects.get(key)
        writes = [event for event in evidence.writes() if event.key.startswith(below)]
        written = [event for event in writes if event.key == key]
        before = [event for event in written if event.number < sent]
        if final is None or (written and not before) or (before and before[-1].digest != final.digest):
            numbers = [event.number for event in written]
            found.append(violation("PUB-4", f"{key} is readable first", "it was not", *numbers, sent))
        # Another task about the same version may be at work still.
        if sum(one.payload == task.payload for one in evidence.tasks) == 1:
            unchanged = "nothing below the prefix is changed after the publication"
            late = [event for event in writes if event.began > sent]
            found += [violation("PUB-4", unchanged, event.key, sent, event.began) for event in late]
    return found if evidence.successes else NOTHING


def pub_5(evidence: Evidence) -> Found:
    """Judge PUB-5: after a 409 to its completion an attempt asks nothing more, and nothing is registered by it."""
    stale = [event for event in evidence.of("complete") if event.status == 409]
    if not stale:
        return NOTHING
    found = []
    for event in stale:
        again = [
            later for later in evidence.of("complete", "heartbeat")
            if later.number > event.number and (later.task_id, later.attempt) == (event.task_id, event.attempt)
        ]  # fmt: skip
        found += [violation("PUB-5", "no retry after 409", later.kind, event.number, later.number) for later in again]
    return found


def pub_6(evidence: Evidence) -> Found:
    """Judge PUB-6: each version is registered once."""
    if evidence.scenario.delivery != "worker" or not evidence.successes:
        return NOTHING
    found = []
    for task in evidence.successes:
        times = evidence.final.registered.get(evidence.version(task), 0)
        if times != 1:
            found.append(violation("PUB-6", "registered once", f"{times} times", evidence.final.number))
        done = [
            event for event in evidence.of("complete")
            if event.task_id == task.task_id and event.request.get("outcome") == "success"
        ]  # fmt: skip
        answered = [event.number for event in done if event.status == ACCEPTED]
        again = [event.number for event in done if answered and event.number > answered[0]]
        if again:
            found.append(violation("PUB-6", "nothing after the completion that was taken", "another", *again))
    return found


def mod_1(evidence: Evidence) -> Found:
    """Judge MOD-1: fake mode asks no endpoint; an unknown mode is a configuration error."""
    found = as_expected(evidence, "MOD-1")
    if found is not NOTHING and evidence.scenario.mode == "fake":
        calls = evidence.of("rpc_call")
        found += [violation("MOD-1", "no call to any endpoint", event.method, event.number) for event in calls[:3]]
    return found


def mod_2(evidence: Evidence) -> Found:
    """Judge MOD-2: fake files are what the chain of seed 0 gives, and equal bytes whoever writes them."""
    if evidence.scenario.mode != "fake" or not evidence.successes:
        return NOTHING
    found = []
    by_name: dict[str, set[str]] = {}
    for event in evidence.puts:
        if event.key.endswith(".parquet"):
            by_name.setdefault(event.key.rpartition("/")[2], set()).add(event.digest)
    found += [
        violation("MOD-2", f"{name}: the same bytes", sorted(seen)) for name, seen in by_name.items() if len(seen) > 1
    ]
    for task in evidence.successes:
        for name, facts in evidence.oracle(task).items():
            stored = evidence.stored(task).get(name)
            if stored is None or (stored.parquet or {}).get("digest") != facts["digest"]:
                found.append(violation("MOD-2", f"{name}: the rows of the fake chain", "others", evidence.final.number))
    return found


def mod_3(evidence: Evidence) -> Found:
    """Judge MOD-3 by binaries that can and can't be run."""
    return as_expected(evidence, "MOD-3")


def mod_4(evidence: Evidence) -> Found:
    """Judge MOD-4 by pools with and without an URL."""
    return as_expected(evidence, "MOD-4")


def mod_6(evidence: Evidence) -> Found:
    """Judge MOD-6 by pools whose names need turning."""
    return as_expected(evidence, "MOD-6")


def mod_7(evidence: Evidence) -> Found:
    """Judge MOD-7 by pools of several URLs."""
    return as_expected(evidence, "MOD-7")


def mod_5(evidence: Evidence) -> Found:
    """Judge MOD-5: fake files bear the mark, others do not, and a warning is logged."""
    if not evidence.successes:
        return NOTHING
    fake = evidence.scenario.mode == "fake"
    found = []
    for task in evidence.successes:
        for name, stored in evidence.stored(task).items():
            if stored.parquet is not None and stored.parquet.get("fake") is not fake:
                found.append(
                    violation(
                        "MOD-5",
                        f"{name}: the mark of fake data {'is' if fake else 'is not'} there",
                        "else",
                        evidence.final.number,
                    )
                )
    lines = [event.text.lower() for event in evidence.of("log_line")]
    if fake and not any("warn" in line and "fake" in line for line in lines):
        found.append(violation("MOD-5", "a warning that data are fake", f"{len(lines)} lines without one"))
    return found if fake or found else NOTHING


CHECKS = {
    "PUB-1": pub_1, "PUB-2": pub_2, "PUB-3": pub_3, "PUB-4": pub_4, "PUB-5": pub_5, "PUB-6": pub_6, "MOD-1": mod_1,
    "MOD-2": mod_2, "MOD-3": mod_3, "MOD-4": mod_4, "MOD-6": mod_6, "MOD-7": mod_7, "MOD-5": mod_5,
}  # fmt: skip
