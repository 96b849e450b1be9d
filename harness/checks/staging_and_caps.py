"""STG, CAP: the staging directory and the caps."""

from __future__ import annotations

from pathlib import PurePosixPath

from harness.checks.evidence import NOTHING, Evidence, Found, Task, as_expected, violation
from harness.history import BEHIND_LINKS, CryoStarted


def stg_1(evidence: Evidence) -> Found:
    """Judge STG-1: Cryo works in the attempt's own directory, which holds nothing of an earlier one."""
    found, judged = [], False
    for task in evidence.tasks:
        ran = evidence.cryos(task)
        for event in ran[:1]:
            judged = True
            below = f"{task.task_id}/{_attempt(evidence, task, event)}"
            expected, where = PurePosixPath(evidence.begun.staging_root) / below, _output(event)
            if not where.is_relative_to(expected):
                found.append(violation("STG-1", expected, where, event.number))
            left = [one.path for one in event.staged if one.path == f"{below}/left.parquet"]
            found += [violation("STG-1", "emptied before Cryo starts", path, event.number) for path in left]
    return found if judged else NOTHING


def _attempt(evidence: Evidence, task: Task, event: CryoStarted) -> int:
    """Return the attempt that started a Cryo: the scenario's, or in a service that of the last claim before it."""
    claims = [
        claim.attempt
        for claim in evidence.of("claim")
        if claim.task_id == task.task_id and claim.attempt and claim.number < event.number
    ]
    return claims[-1] if claims else task.line.attempt


def _output(event: CryoStarted) -> PurePosixPath:
    arguments, directory = list(event.arguments), PurePosixPath(event.directory)
    for flag in ("--output-dir", "-o"):
        if flag in arguments[:-1]:
            return directory / arguments[arguments.index(flag) + 1]
    return directory


def stg_2(evidence: Evidence) -> Found:
    """Judge STG-2: the task's directory and the attempt's have mode 0700 while Cryo runs.

    What lies below them may be Cryo's own making, and nobody else gets there.
    """
    found, judged = [], False
    for event in evidence.cryos():
        for one in event.staged:
            ours = any(one.path == task.task_id or one.path.startswith(f"{task.task_id}/") for task in evidence.tasks)
            if one.type == "directory" and ours and one.path.count("/") <= 1:
                judged = True
                if one.mode != "700":
                    found.append(violation("STG-2", "mode 700", f"{one.path}: {one.mode}", event.number))
    return found if judged else NOTHING


def stg_3(evidence: Evidence) -> Found:
    """Judge STG-3: nothing of a success is left in staging."""
    return _gone(evidence, "STG-3", evidence.successes)


def stg_8(evidence: Evidence) -> Found:
    """Judge STG-8: nothing of a failure is left in staging."""
    touched = [task for task in evidence.failures if evidence.cryos(task)]
    return _gone(evidence, "STG-8", touched)


def _gone(evidence: Evidence, clause: str, tasks: list[Task]) -> Found:
    found = []
    for task in tasks:
        attempt = task.ends[-1].attempt if evidence.scenario.delivery == "worker" else task.line.attempt
        below = f"{task.task_id}/{attempt}"
        left = [one.path for one in evidence.final.staged if one.path == below or one.path.startswith(f"{below}/")]
        if left:
            found.append(violation(clause, f"{below} is gone", left, evidence.final.number))
    return found if tasks else NOTHING


def _planted(evidence: Evidence, clause: str) -> Found:
    found = as_expected(evidence, clause)
    if found is NOTHING or not any(task.ended_as_expected for task in evidence.tasks):
        return found
    for file in evidence.scenario.preloaded_files:
        if evidence.final.preloaded_files.get(file.path) is not file.unchanged:
            what = f"{file.path} {'stays as it is' if file.unchanged else 'goes'}"
            found.append(violation(clause, what, "it did not", evidence.final.number))
    if not evidence.final.preloaded_files.get(BEHIND_LINKS, True):
        found.append(violation(clause, "nothing behind a link is touched", "it was", evidence.final.number))
    return found


def stg_4(evidence: Evidence) -> Found:
    """Judge STG-4: old directories go, young ones stay."""
    return _planted(evidence, "STG-4")


def stg_5(evidence: Evidence) -> Found:
    """Judge STG-5: what a live attempt holds is left alone, and no Cryo outlives its worker."""
    if "STG-5" not in evidence.scenario.clauses or not evidence.cryos():
        return NOTHING
    found = as_expected(evidence, "STG-5") or []
    left = [words for words in evidence.final.survivors if "--blocks" in words]
    found += [
        violation("STG-5", "Cryo holds the lock of its directory", "nothing of staging is open in it", event.number)
        for event in evidence.cryos()
        if not event.locked
    ]
    return found + [violation("STG-5", "Cryo dies with its worker", words, evidence.final.number) for words in left]


def stg_6(evidence: Evidence) -> Found:
    """Judge STG-6: links, files and other people's directories are refused and left alone."""
    return _planted(evidence, "STG-6")


def stg_7(evidence: Evidence) -> Found:
    """Judge STG-7: a full disk is retryable and nothing is stored."""
    found = as_expected(evidence, "STG-7")
    if found is NOTHING:
        return NOTHING
    return found + [
        violation("STG-7", "the store is untouched", event.key, event.number) for event in evidence.writes()
    ]


def cap_1(evidence: Evidence) -> Found:
    """Judge CAP-1: at a cap is allowed, over it is not."""
    return as_expected(evidence, "CAP-1")


def cap_4(evidence: Evidence) -> Found:
    """Judge CAP-4: over a cap is fatal, the default caps too."""
    return as_expected(evidence, "CAP-4")


def cap_5(evidence: Evidence) -> Found:
    """Judge CAP-5: too many files are refused before Cryo starts, a runaway is stopped while it runs."""
    return as_expected(evidence, "CAP-5")


def cap_2(evidence: Evidence) -> Found:
    """Judge CAP-2: nothing is uploaded or published by a range that is over a cap."""
    found = as_expected(evidence, "CAP-2", "fatal_error")
    if found is NOTHING:
        return NOTHING
    for task in evidence.failures:
        published = [end for end in task.ends if end.publications]
        found += [violation("CAP-2", "no publication", end.publications, end.number) for end in published]
    # What others upload is under their own prefixes.
    others = tuple(evidence.prefix(task) for task in evidence.successes)
    return found + [
        violation("CAP-2", "no upload", event.key, event.number)
        for event in evidence.puts
        if not event.key.startswith(others)
    ]


def cap_3(evidence: Evidence) -> Found:
    """Judge CAP-3: a cap that is no positive integer is a configuration error."""
    return as_expected(evidence, "CAP-3", "bad_configuration")


CHECKS = {
    "STG-1": stg_1, "STG-2": stg_2, "STG-3": stg_3, "STG-4": stg_4, "STG-5": stg_5, "STG-6": stg_6, "STG-7": stg_7,
    "STG-8": stg_8, "CAP-1": cap_1, "CAP-4": cap_4, "CAP-5": cap_5, "CAP-2": cap_2, "CAP-3": cap_3,
}  # fmt: skip
