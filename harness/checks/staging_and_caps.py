"""STG, CAP: the staging directory and the caps."""

from __future__ import annotations

from pathlib import PurePosixPath

from harness.checks.evidence import NOT_EXERCISED, Evidence, Findings, TaskEvidence, check_outcomes, violation
from harness.history import BEHIND_LINKS, CryoStarted


def stg_1(evidence: Evidence) -> Findings:
    """Check STG-1: Cryo writes to the attempt's own directory, which has no file of an earlier attempt."""
    violations, exercised = [], False
    for task in evidence.tasks:
        for event in evidence.cryo_starts(task)[:1]:
            exercised = True
            below = f"{task.task_id}/{_attempt_of(evidence, task, event)}"
            expected, directory = PurePosixPath(evidence.start.staging_root) / below, output_directory(event)
            if not directory.is_relative_to(expected):
                violations.append(violation("STG-1", f"Cryo writes to {expected}", directory, event.number))
            leftovers = [entry.path for entry in event.staged if entry.path == f"{below}/left.parquet"]
            violations += [
                violation("STG-1", "the directory is empty before Cryo starts", path, event.number)
                for path in leftovers
            ]
    return violations if exercised else NOT_EXERCISED


def _attempt_of(evidence: Evidence, task: TaskEvidence, event: CryoStarted) -> int:
    """Return the attempt that started a Cryo: in a service that of the last claim before it, else the scenario's."""
    attempts = [
        claim.attempt
        for claim in evidence.claims
        if claim.task_id == task.task_id and claim.attempt and claim.number < event.number
        and (event.worker is None or claim.worker == event.worker)
    ]  # fmt: skip
    return attempts[-1] if attempts else task.line.attempt


def output_directory(event: CryoStarted) -> PurePosixPath:
    """Return the directory that Cryo writes to: that of its option, or its working directory."""
    arguments, directory = list(event.arguments), PurePosixPath(event.directory)
    for flag in ("--output-dir", "-o"):
        if flag in arguments[:-1]:
            return directory / arguments[arguments.index(flag) + 1]
    return directory


def stg_2(evidence: Evidence) -> Findings:
    """Check STG-2: the task's directory and the attempt's have mode 0700 while Cryo runs.

    Directories below them may be made by Cryo with any mode, because no other user can reach them.
    """
    violations, exercised = [], False
    for event in evidence.cryo_starts():
        for entry in event.staged:
            own = any(
                entry.path == task.task_id or entry.path.startswith(f"{task.task_id}/") for task in evidence.tasks
            )
            if entry.type == "directory" and own and entry.path.count("/") <= 1:
                exercised = True
                if entry.mode != "700":
                    expected = f"{entry.path} has mode 700"
                    violations.append(violation("STG-2", expected, f"mode {entry.mode}", event.number))
    return violations if exercised else NOT_EXERCISED


def stg_3(evidence: Evidence) -> Findings:
    """Check STG-3: a success leaves nothing in staging."""
    return _check_removed(evidence, "STG-3", evidence.successes)


def stg_8(evidence: Evidence) -> Findings:
    """Check STG-8: a failure leaves nothing in staging."""
    return _check_removed(evidence, "STG-8", [task for task in evidence.failures if evidence.cryo_starts(task)])


def _check_removed(evidence: Evidence, clause: str, tasks: list[TaskEvidence]) -> Findings:
    """Check that the staging directories of some tasks were removed."""
    violations = []
    for task in tasks:
        attempt = task.ends[-1].attempt if evidence.scenario.delivery == "worker" else task.line.attempt
        below = f"{task.task_id}/{attempt}"
        paths = [entry.path for entry in evidence.final.staged]
        left = [path for path in paths if path == below or path.startswith(f"{below}/")]
        if left:
            violations.append(violation(clause, f"{below} is removed", f"still there: {left}", evidence.final.number))
    return violations if tasks else NOT_EXERCISED


def _check_preloaded_files(evidence: Evidence, clause: str) -> Findings:
    """Check the outcome, and that preloaded files were removed or left unchanged as the scenario says."""
    violations = check_outcomes(evidence, clause)
    if violations is NOT_EXERCISED or not any(task.ended_as_expected for task in evidence.tasks):
        return violations
    for file in evidence.scenario.preloaded_files:
        if evidence.final.preloaded_files.get(file.path) is not file.unchanged:
            expected = f"{file.path} is {'unchanged' if file.unchanged else 'removed'}"
            seen = "it was changed" if file.unchanged else "it is still there"
            violations.append(violation(clause, expected, seen, evidence.final.number))
    if not evidence.final.preloaded_files.get(BEHIND_LINKS, True):
        expected = "the target of a link is neither read nor changed"
        violations.append(violation(clause, expected, "it was read or changed", evidence.final.number))
    return violations


def stg_4(evidence: Evidence) -> Findings:
    """Check STG-4: old directories are removed, recent ones stay."""
    return _check_preloaded_files(evidence, "STG-4")


def stg_5(evidence: Evidence) -> Findings:
    """Check STG-5: directories of running attempts stay, and no Cryo outlives its worker."""
    if "STG-5" not in evidence.scenario.clauses or not evidence.cryo_starts():
        return NOT_EXERCISED
    violations = check_outcomes(evidence, "STG-5") or []
    violations += [
        violation("STG-5", "Cryo holds the lock of its directory", "it holds no lock in staging", event.number)
        for event in evidence.cryo_starts()
        if not event.locked
    ]
    surviving = [command for command in evidence.final.survivors if "--blocks" in command]
    return violations + [
        violation("STG-5", "Cryo ends with its worker", f"still running: {command}", evidence.final.number)
        for command in surviving
    ]


def stg_6(evidence: Evidence) -> Findings:
    """Check STG-6: links, files and directories of other users are rejected and stay unchanged."""
    return _check_preloaded_files(evidence, "STG-6")


def stg_7(evidence: Evidence) -> Findings:
    """Check STG-7: a full disk is a retryable error, and nothing is stored."""
    violations = check_outcomes(evidence, "STG-7")
    if violations is NOT_EXERCISED:
        return NOT_EXERCISED
    return violations + [
        violation("STG-7", "no write to the store", event.key, event.number) for event in evidence.writes
    ]


def cap_1(evidence: Evidence) -> Findings:
    """Check CAP-1: a value equal to a cap is allowed, a larger one is not."""
    return check_outcomes(evidence, "CAP-1")


def cap_4(evidence: Evidence) -> Findings:
    """Check CAP-4: exceeding a cap, including a default cap, is a fatal error."""
    return check_outcomes(evidence, "CAP-4")


def cap_5(evidence: Evidence) -> Findings:
    """Check CAP-5: a range with too many files is rejected before Cryo starts, oversized output stops Cryo."""
    return check_outcomes(evidence, "CAP-5")


def cap_2(evidence: Evidence) -> Findings:
    """Check CAP-2: a range that exceeds a cap uploads and publishes nothing."""
    violations = check_outcomes(evidence, "CAP-2", "fatal_error")
    if violations is NOT_EXERCISED:
        return NOT_EXERCISED
    for task in evidence.failures:
        published = [end for end in task.ends if end.publications]
        violations += [violation("CAP-2", "no publication", end.publications, end.number) for end in published]
    # Successful tasks upload to their own prefixes.
    others = tuple(evidence.prefix(task) for task in evidence.successes)
    return violations + [
        violation("CAP-2", "no upload", event.key, event.number)
        for event in evidence.puts
        if not event.key.startswith(others)
    ]


def cap_3(evidence: Evidence) -> Findings:
    """Check CAP-3: a cap that is not a positive integer is a configuration error."""
    return check_outcomes(evidence, "CAP-3", "bad_configuration")


CHECKS = {
    "STG-1": stg_1, "STG-2": stg_2, "STG-3": stg_3, "STG-4": stg_4, "STG-5": stg_5, "STG-6": stg_6, "STG-7": stg_7,
    "STG-8": stg_8, "CAP-1": cap_1, "CAP-4": cap_4, "CAP-5": cap_5, "CAP-2": cap_2, "CAP-3": cap_3,
}  # fmt: skip
