"""Checks of the clauses OUT, LSE and SEC: the outcomes of attempts, leases, secrets."""

from __future__ import annotations

from harness.checks.evidence import NOT_EXERCISED, OK, Evidence, Findings, Violation, check_outcomes, times, violation
from harness.history import (
    CryoEnded,
    CryoStarted,
    CryoWrote,
    DispatcherCall,
    HarnessAction,
    LogLine,
    MessageAcknowledged,
    StoreRequest,
    TimedOut,
    WorkerExited,
    WorkerStarted,
)

ALLOWED_EXIT_CODES = {0, 130, 143, -15}
"""Exit codes allowed after SIGTERM: 0, and how shells and process managers report SIGINT and SIGTERM."""
CONFLICT = 409
FINAL_STATUSES = (200, 400, 409)
"""After one of these responses a worker must not send the completion again."""
MAX_MARGIN_SECONDS = 5.0
MIN_MARGIN_SECONDS = 1.0
"""LSE-3: a lease counts as lost before it expires, by a third of its length, but at least 1 s and at most 5 s."""
DATE_SECONDS = 1.0
"""Resolution of the `Date` header."""
RESPONSE_SECONDS = 0.25
"""How long a response may take to reach the thread that waits for it, on a busy machine."""
STOP_SECONDS = 5.0
"""How long a worker may take to stop its Cryo, on a busy machine."""
SECRET = "<secret:"  # noqa: S105 - the text that replaces a secret


def out_1(evidence: Evidence) -> Findings:
    """Check OUT-1: every claimed attempt that was not interrupted is reported once, in the wire format."""
    if evidence.scenario.delivery != "worker":
        return check_outcomes(evidence, "OUT-1")
    claims = [event for event in evidence.claims if event.status == OK and event.attempt]
    if not claims or "OUT-1" not in evidence.scenario.clauses:
        return NOT_EXERCISED
    violations = check_outcomes(evidence, "OUT-1") or []
    for claim in claims:
        reports = [
            event.number for event in evidence.completions
            if (event.task_id, event.attempt) == (claim.task_id, claim.attempt) and event.status in FINAL_STATUSES
        ]  # fmt: skip
        if len(reports) != 1:
            expected = f"attempt {claim.attempt} is reported once"
            violations.append(violation("OUT-1", expected, times(len(reports)), claim.number, *reports))
    return violations


def out_2(evidence: Evidence) -> Findings:
    """Check OUT-2: each kind of failure is reported as retryable or fatal, as the scenario expects."""
    return check_outcomes(evidence, "OUT-2")


def out_4(evidence: Evidence) -> Findings:
    """Check OUT-4: the further kinds of failure are reported as retryable or fatal, as the scenario expects."""
    return check_outcomes(evidence, "OUT-4")


def out_5(evidence: Evidence) -> Findings:
    """Check OUT-5: after an incomplete run Cryo runs again in the same directory, and valid chunks are kept."""
    violations = check_outcomes(evidence, "OUT-5")
    if violations is NOT_EXERCISED:
        return NOT_EXERCISED
    for task in evidence.tasks:
        starts = evidence.cryo_starts(task)
        if len(starts) < 2:
            numbers = [event.number for event in starts]
            seen = f"it was started {times(len(starts))}"
            violations.append(violation("OUT-5", "Cryo runs again", seen, *numbers))
        violations += _lost_chunks(evidence, starts)
        directories = sorted({event.directory for event in starts})
        if len(directories) > 1:
            violations.append(violation("OUT-5", "every run is in the same directory", directories))
    return violations


CORRUPTING_FAULTS = {
    "truncate_file",
    "empty_file",
    "wrong_schema",
    "omit_rows",
    "omit_blocks",
    "omit_transactions",
    "replace_block",
}
"""Faults of fake Cryo after which a finished file is invalid."""


def _lost_chunks(evidence: Evidence, starts: list[CryoStarted]) -> list[Violation]:
    """Find restarts of Cryo at which none of the files that earlier runs finished is left, although they were valid."""
    if any(fault.get("do") in CORRUPTING_FAULTS for fault in evidence.scenario.cryo_faults):
        return []
    violations = []
    for start in starts[1:]:
        written = {event.name for event in evidence.of(CryoWrote) if starts[0].number < event.number < start.number}
        staged = {entry.path.rpartition("/")[2] for entry in start.staged}
        if written and not written & staged:
            expected = f"valid chunks are kept: {sorted(written)}"
            violations.append(violation("OUT-5", expected, f"only {sorted(staged)}", start.number))
    return violations


def out_3(evidence: Evidence) -> Findings:
    """Check OUT-3: at the deadline the attempt ends, and no process of Cryo's process group is still running."""
    violations = check_outcomes(evidence, "OUT-3")
    if violations is NOT_EXERCISED:
        return NOT_EXERCISED
    return violations + [
        violation("OUT-3", "the whole process group is killed", f"still running: {command}", evidence.final.number)
        for command in evidence.final.survivors
    ]


def out_6(evidence: Evidence) -> Findings:
    """Check OUT-6: the message of an error has the words that the scenario expects."""
    return check_outcomes(evidence, "OUT-6")


def lse_1(evidence: Evidence) -> Findings:
    """Check LSE-1: no work starts before a claim; the message of a task that can't be claimed is acknowledged."""
    if evidence.scenario.delivery != "worker" or not evidence.claims:
        return NOT_EXERCISED
    violations = check_outcomes(evidence, "LSE-1") or []
    first_grant = min((claim.number for claim in evidence.claims if claim.status == OK), default=None)
    work: list[CryoStarted | StoreRequest] = [*evidence.cryo_starts(), *filter(_is_work, evidence.of(StoreRequest))]
    for event in work:
        if first_grant is None or event.number < first_grant:
            violations.append(violation("LSE-1", "a claim before any work", event.kind, event.number))
    rejected = [
        event for event in evidence.claims
        if event.status == CONFLICT or (event.status == OK and event.response.get("status") == "NotClaimed")
    ]  # fmt: skip
    for claim in rejected:
        acknowledged = any(
            event.task_id == claim.task_id and event.number > claim.number for event in evidence.of(MessageAcknowledged)
        )
        had_time_to_acknowledge = evidence.final.at > claim.at + STOP_SECONDS or not evidence.of(TimedOut)
        if not acknowledged and had_time_to_acknowledge:
            violations.append(violation("LSE-1", "its message is acknowledged", "it was not", claim.number))
    return violations if rejected or "LSE-1" in evidence.scenario.clauses else (violations or NOT_EXERCISED)


def _is_work(event: StoreRequest) -> bool:
    """Return whether a request reads or writes data; a check at start-up that the store is reachable does neither."""
    return event.operation in {"put", "delete"} or event.key.startswith("cryo/")


def lse_5(evidence: Evidence) -> Findings:
    """Check LSE-5: after a failed claim the message stays in the queue; 401 or 403 to another call ends the lease."""
    failed = [
        event for event in evidence.claims
        if event.status is None or event.status in {401, 403} or event.status >= 500
    ]  # fmt: skip
    denied = [event for event in evidence.dispatcher_calls("heartbeat", "complete") if event.status in {401, 403}]
    if not failed and not denied:
        return NOT_EXERCISED
    violations = check_outcomes(evidence, "LSE-5") or []
    for claim in failed:
        granted = [
            event.number for event in evidence.claims
            if event.task_id == claim.task_id and event.number > claim.number and event.status == OK
        ]  # fmt: skip
        until = granted[0] if granted else evidence.final.number
        early = [
            event.number for event in evidence.of(MessageAcknowledged)
            if event.task_id == claim.task_id and claim.number < event.number < until
            and (event.worker is None or event.worker == claim.worker)
        ]  # fmt: skip
        expected = "the message stays in the queue"
        violations += [violation("LSE-5", expected, "it was deleted", claim.number, number) for number in early]
    for call in denied:
        violations += _work_after_loss(evidence, "LSE-5", call)
    return violations


def lse_2(evidence: Evidence) -> Findings:
    """Check LSE-2: an attempt that takes longer than half of its lease has renewed it."""
    if "LSE-2" not in evidence.scenario.clauses or not evidence.claims:
        return NOT_EXERCISED
    violations = check_outcomes(evidence, "LSE-2") or []
    heartbeats = evidence.dispatcher_calls("heartbeat")
    if not any(event.status == OK for event in heartbeats):
        numbers = [event.number for event in heartbeats]
        expected = "the lease is renewed while the attempt runs"
        violations.append(violation("LSE-2", expected, "no successful heartbeat", *numbers))
    return violations


def lse_3(evidence: Evidence) -> Findings:
    """Check LSE-3: once the lease is lost, the attempt starts no store or completion request, and stops Cryo."""
    if "LSE-3" not in evidence.scenario.clauses:
        return NOT_EXERCISED
    conflicts = [event for event in evidence.dispatcher_calls("heartbeat", "complete") if event.status == CONFLICT]
    expired = _work_after_expiry(evidence)
    if not conflicts and expired is None:
        return NOT_EXERCISED
    violations = check_outcomes(evidence, "LSE-3") or []
    for call in conflicts:
        violations += _work_after_loss(evidence, "LSE-3", call)
    return violations + (expired or [])


def _work_after_expiry(evidence: Evidence) -> list[Violation] | None:
    """Find requests after the local end of a lease that was not renewed.

    Returns None if no lease expired during the run.

    LSE-3 counts from the moment at which the worker sent the last successful request. Here the end is calculated from
    the response, which is later, and one second is added, because `Date` is in whole seconds. So it is never too early.
    """
    lease = evidence.scenario.platform.lease_seconds + DATE_SECONDS
    margin = max(MIN_MARGIN_SECONDS, min(MAX_MARGIN_SECONDS, lease / 3))
    violations: list[Violation] | None = None
    for claim in evidence.claims:
        if claim.status != OK or claim.attempt is None:
            continue
        own = [
            event for event in evidence.dispatcher_calls("heartbeat", "complete")
            if (event.task_id, event.attempt) == (claim.task_id, claim.attempt)
        ]  # fmt: skip
        renewals = [event for event in own if event.kind == "heartbeat" and event.status == OK]
        last = [claim, *renewals][-1]
        end = last.at + lease - margin
        if evidence.final.at < end or any(
            event.kind == "complete" and event.status in FINAL_STATUSES and event.at < end for event in own
        ):
            continue
        late = [event for event in _requests_of(evidence, claim) if event.at > end and event.kind != "heartbeat"]
        expected = f"no request later than {end - last.at:.1f} s after the last successful response"
        violations = (violations or []) + [
            violation("LSE-3", expected, event.kind, last.number, event.number) for event in late
        ]
        violations += _cryo_runs_after_loss(evidence, "LSE-3", claim, end)
    return violations


def _work_after_loss(evidence: Evidence, clause: str, response: DispatcherCall) -> list[Violation]:
    """Find requests and running Cryo processes of an attempt after the response that reported the loss of its lease.

    `_requests_of` decides which requests belong to the attempt: those after the next granted claim do not.
    """
    claims = [
        event for event in evidence.claims if (event.task_id, event.attempt) == (response.task_id, response.attempt)
    ]
    # Another thread of the worker may send a request while the response to a heartbeat is still on its way.
    until = response.at + RESPONSE_SECONDS if response.kind == "heartbeat" else response.at
    expected = "no further request after the lease is lost"
    requests = [
        violation(clause, expected, event.kind, response.number, event.number)
        for claim in claims
        for event in _requests_of(evidence, claim)
        if event.number > response.number and (event.at > until or event.kind == "heartbeat")
    ]
    return requests + [item for claim in claims for item in _cryo_runs_after_loss(evidence, clause, claim, response.at)]


def _cryo_runs_after_loss(evidence: Evidence, clause: str, claim: DispatcherCall, lost_at: float) -> list[Violation]:
    """Find Cryo processes of a claim's attempt that still ran `STOP_SECONDS` after its lease was lost.

    A worker that the harness had paused can stop its Cryo only when it continues.
    """
    lost_at = max([lost_at, *(event.at for event in evidence.of(HarnessAction) if event.action == "SIGCONT")])
    ends = {event.start_number: event for event in evidence.of(CryoEnded)}
    several_workers = len(evidence.of(WorkerStarted)) > 1
    grants = [event.number for event in evidence.claims if event.attempt and event.number > claim.number]
    until = min(grants, default=evidence.final.number)
    violations = []
    for cryo in evidence.cryo_starts():
        paths = f"{cryo.directory} {' '.join(cryo.arguments)}"
        own = f"{claim.task_id}/{claim.attempt}" in paths if several_workers else claim.number < cryo.number < until
        end = ends.get(cryo.number, evidence.final)
        if own and cryo.at < lost_at and end.at > lost_at + STOP_SECONDS:
            expected = f"Cryo is stopped within {STOP_SECONDS:g} s after the lease is lost"
            seen = f"it ran for {end.at - lost_at:.1f} s"
            violations.append(violation(clause, expected, seen, claim.number, cryo.number, end.number))
    return violations


def _requests_of(evidence: Evidence, claim: DispatcherCall) -> list[StoreRequest | DispatcherCall]:
    """Return the requests to the store and the dispatcher that a claim's attempt sent after the claim.

    A store request does not name its attempt. With several workers it belongs to the attempt if it came from the worker
    that claimed, if that worker is known; otherwise if it arrived before the next granted claim.
    """
    worker = claim.worker if claim.worker is not None else evidence.sole_worker_before(claim.number)
    grants = [event for event in evidence.claims if event.status == OK and event.number > claim.number]
    until = min((event.number for event in grants), default=evidence.final.number)
    if claim.worker is not None:
        until = min((each.number for each in grants if each.worker == worker), default=evidence.final.number)
    several_workers = len(evidence.of(WorkerStarted)) > 1
    requests: list[StoreRequest | DispatcherCall] = []
    for event in evidence.events:
        if isinstance(event, StoreRequest):
            own = event.number < until
            if several_workers and worker is not None:
                own = event.worker == worker and (own or claim.worker is None)
        elif isinstance(event, DispatcherCall) and event.kind in {"heartbeat", "complete"}:
            own = (event.task_id, event.attempt) == (claim.task_id, claim.attempt)
        else:
            continue
        if own and event.number > claim.number:
            requests.append(event)
    return requests


def lse_4(evidence: Evidence) -> Findings:
    """Check LSE-4: after SIGTERM no new claim, exit in time with an allowed code, and no files in staging."""
    signals = [event for event in evidence.of(HarnessAction) if event.action == "SIGTERM"]
    if not signals or "LSE-4" not in evidence.scenario.clauses:
        return NOT_EXERCISED
    violations = check_outcomes(evidence, "LSE-4") or []
    if evidence.scenario.delivery == "worker":
        first = signals[0]
        violations += [
            violation("LSE-4", "no claim after SIGTERM", f"a claim of {event.task_id}", first.number, event.number)
            for event in evidence.claims
            if event.number > first.number and event.at > first.at + 1 and not evidence.scenario.platform.workers > 1
        ]
        expected = f"exit code {' or '.join(map(str, sorted(ALLOWED_EXIT_CODES)))}"
        violations += [
            violation("LSE-4", expected, exited.code, exited.number)
            for exited in evidence.of(WorkerExited)
            if exited.code not in ALLOWED_EXIT_CODES
        ]
    violations += [
        violation("LSE-4", "the worker ends in time", event.what, event.number) for event in evidence.of(TimedOut)
    ]
    files = [entry.path for entry in evidence.final.staged if entry.type == "file"]
    if files:
        violations.append(violation("LSE-4", "no files are left in staging", files, evidence.final.number))
    return violations


def sec_1(evidence: Evidence) -> Findings:
    """Check SEC-1: no secret in a log line, message, publication, key, metadata or object."""
    violations = []
    for event in evidence.events:
        text = event.text if isinstance(event, LogLine) else event.stdout if isinstance(event, WorkerExited) else ""
        if SECRET in text:
            violations.append(violation("SEC-1", "no secret in a worker's output", text[-300:], event.number))
    for call in evidence.completions:
        message = call.request.get("error_message")
        if SECRET in f"{message}{call.request.get('datasets_published')}":
            violations.append(violation("SEC-1", "no secret in a completion", message, call.number))
    for key, stored in evidence.final.objects.items():
        if stored.secrets or SECRET in f"{key}{stored.metadata}":
            seen = f"{key}: {stored.secrets}"
            violations.append(violation("SEC-1", "no secret in the store", seen, evidence.final.number))
    for put in evidence.store_responses("object_put"):
        if put.secrets or SECRET in f"{put.key}{put.metadata}":
            seen = f"{put.key}: {put.secrets}"
            violations.append(violation("SEC-1", "no secret is sent to the store", seen, put.number))
    return violations if violations or any(task.ends for task in evidence.tasks) else NOT_EXERCISED


def sec_2(evidence: Evidence) -> Findings:
    """Check SEC-2: no secret in process arguments; Cryo's environment has ETH_RPC_URL and no MESC variable."""
    if not evidence.cryo_starts():
        return NOT_EXERCISED
    violations = [
        violation("SEC-2", "no secret in process arguments", command, evidence.final.number)
        for command in evidence.final.arguments
        if SECRET in command
    ]
    for cryo in evidence.cryo_starts():
        if cryo.environment and evidence.scenario.mode == "real" and "ETH_RPC_URL" not in cryo.environment:
            violations.append(violation("SEC-2", "Cryo's environment has ETH_RPC_URL", cryo.environment, cryo.number))
        mesc = [name for name in cryo.environment if name.startswith("MESC_")]
        if mesc:
            violations.append(violation("SEC-2", "Cryo's environment has no MESC_*", mesc, cryo.number))
        if SECRET in " ".join(cryo.arguments):
            violations.append(violation("SEC-2", "no secret in Cryo's arguments", cryo.arguments, cryo.number))
    return violations


CHECKS = {
    "OUT-1": out_1, "OUT-2": out_2, "OUT-4": out_4, "OUT-5": out_5, "OUT-3": out_3, "OUT-6": out_6, "LSE-1": lse_1,
    "LSE-5": lse_5, "LSE-2": lse_2, "LSE-3": lse_3, "LSE-4": lse_4, "SEC-1": sec_1, "SEC-2": sec_2,
}  # fmt: skip
