"""OUT, LSE, SEC: how attempts end, what a lease binds, and what must never be written down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.checks.evidence import NOTHING, Evidence, Found, Violation, as_expected, violation

if TYPE_CHECKING:
    from harness.history import DispatcherCall, StoreAsked

ORDERLY = {0, 130, 143, -15}
"""How a process may end that was told to: of itself, or as shells and process managers tell SIGINT and SIGTERM."""
CONFLICT = 409
GRANTED = 200
SETTLED = (200, 400, 409)
LONGEST_MARGIN_SECONDS = 5.0
SHORTEST_MARGIN_SECONDS = 1.0
"""LSE-3: less the smaller of 5 s and a third of the lease, never under 1 s."""
DATE_SECONDS = 1.0
ANSWER_SECONDS = 0.25
STOP_SECONDS = 5.0
"""So long a busy machine may take to bring an answer to who waits for it, and a worker to end its Cryo."""


def out_1(evidence: Evidence) -> Found:
    """Judge OUT-1: every claimed attempt that was not cut off is reported once, in the wire's own form."""
    if evidence.scenario.delivery != "worker":
        return as_expected(evidence, "OUT-1")
    claims = [event for event in evidence.of("claim") if event.status == 200 and event.attempt]
    if not claims or "OUT-1" not in evidence.scenario.clauses:
        return NOTHING
    found = as_expected(evidence, "OUT-1") or []
    for claim in claims:
        reports = [
            event for event in evidence.of("complete")
            if (event.task_id, event.attempt) == (claim.task_id, claim.attempt) and event.status in SETTLED
        ]  # fmt: skip
        if len(reports) != 1:
            numbers = [event.number for event in reports]
            found.append(
                violation(
                    "OUT-1",
                    f"attempt {claim.attempt} is reported once",
                    f"{len(reports)} times",
                    claim.number,
                    *numbers,
                )
            )
    return found


def out_2(evidence: Evidence) -> Found:
    """Judge OUT-2 by what went wrong."""
    return as_expected(evidence, "OUT-2")


def out_4(evidence: Evidence) -> Found:
    """Judge OUT-4 by what went wrong."""
    return as_expected(evidence, "OUT-4")


def out_5(evidence: Evidence) -> Found:
    """Judge OUT-5: a run that failed is followed by another in the same directory, and a good chunk is kept."""
    found = as_expected(evidence, "OUT-5")
    if found is NOTHING:
        return NOTHING
    for task in evidence.tasks:
        ran = evidence.cryos(task)
        if len(ran) < 2:
            found.append(violation("OUT-5", "Cryo runs again", f"{len(ran)} runs", *[event.number for event in ran]))
        found += _kept(evidence, ran)
        if len({event.directory for event in ran}) > 1:
            found.append(violation("OUT-5", "in the same directory", sorted({event.directory for event in ran})))
    return found


DAMAGING = {
    "truncate_file",
    "empty_file",
    "wrong_schema",
    "omit_rows",
    "omit_blocks",
    "omit_transactions",
    "replace_block",
}


def _kept(evidence: Evidence, ran: list[Any]) -> list[Violation]:
    """Find runs that begin without any of the files that were finished before, though Cryo damaged none of them."""
    if any(fault.get("do") in DAMAGING for fault in evidence.scenario.cryo_faults):
        return []
    found = []
    for event in ran[1:]:
        written = {one.name for one in evidence.of("cryo_wrote") if ran[0].number < one.number < event.number}
        there = {one.path.rpartition("/")[2] for one in event.staged}
        if written and not written & there:
            found.append(violation("OUT-5", f"good chunks are kept: {sorted(written)}", sorted(there), event.number))
    return found


def out_3(evidence: Evidence) -> Found:
    """Judge OUT-3: past the deadline the attempt ends and nothing of its process group lives."""
    found = as_expected(evidence, "OUT-3")
    if found is NOTHING:
        return NOTHING
    return found + [
        violation("OUT-3", "the whole group is killed", words, evidence.final.number)
        for words in evidence.final.survivors
    ]


def lse_1(evidence: Evidence) -> Found:
    """Judge LSE-1: no work before a claim, and what can't be claimed is acknowledged."""
    if evidence.scenario.delivery != "worker" or not evidence.of("claim"):
        return NOTHING
    found = as_expected(evidence, "LSE-1") or []
    for event in [*evidence.cryos(), *filter(_is_work, evidence.of("store_asked"))]:
        if not any(claim.number < event.number and claim.status == 200 for claim in evidence.of("claim")):
            found.append(violation("LSE-1", "a claim comes first", event.kind, event.number))
    refused = [
        event
        for event in evidence.of("claim")
        if event.status == CONFLICT or event.answer.get("status") == "NotClaimed"
    ]
    for event in refused:
        acknowledged = any(
            one.task_id == event.task_id and one.number > event.number for one in evidence.of("acknowledged")
        )
        in_time = evidence.final.at > event.at + STOP_SECONDS or not evidence.of("timed_out")
        if not acknowledged and in_time:
            found.append(violation("LSE-1", "its wake-up is deleted", "it was not", event.number))
    return found if refused or "LSE-1" in evidence.scenario.clauses else (found or NOTHING)


def _is_work(event: StoreAsked) -> bool:
    """Tell whether a request is about what tasks make; to look at start-up whether the store is there is no work."""
    return event.operation in {"put", "delete"} or event.key.startswith("cryo/")


def lse_5(evidence: Evidence) -> Found:
    """Judge LSE-5: a claim that was not answered leaves its wake-up there, and the worker backs off."""
    failed = [
        event
        for event in evidence.of("claim")
        if event.status is None or event.status in {401, 403} or event.status >= 500
    ]
    denied = [event for event in evidence.of("heartbeat", "complete") if event.status in {401, 403}]
    if not failed and not denied:
        return NOTHING
    found = as_expected(evidence, "LSE-5") or []
    for event in failed:
        answered = [
            one
            for one in evidence.of("claim")
            if one.task_id == event.task_id and one.number > event.number and one.status == 200
        ]
        until = answered[0].number if answered else evidence.final.number
        early = [
            one
            for one in evidence.of("acknowledged")
            if one.task_id == event.task_id and event.number < one.number < until
        ]
        found += [violation("LSE-5", "the wake-up is not deleted", "it was", event.number, one.number) for one in early]
    for event in denied:
        found += _silence(evidence, "LSE-5", event)
    return found


def lse_2(evidence: Evidence) -> Found:
    """Judge LSE-2: an attempt that outlasts its lease's half has renewed it."""
    if "LSE-2" not in evidence.scenario.clauses or not evidence.of("claim"):
        return NOTHING
    found = as_expected(evidence, "LSE-2") or []
    if not any(event.status == GRANTED for event in evidence.of("heartbeat")):
        numbers = [event.number for event in evidence.of("heartbeat")]
        found.append(violation("LSE-2", "the lease is renewed while the attempt runs", "it never was", *numbers))
    return found


def lse_3(evidence: Evidence) -> Found:
    """Judge LSE-3: after a 409 was read, no store or completion request of the attempt starts, and Cryo is stopped."""
    if "LSE-3" not in evidence.scenario.clauses:
        return NOTHING
    lost = [event for event in evidence.of("heartbeat", "complete") if event.status == CONFLICT]
    ended = _past_their_end(evidence)
    if not lost and ended is None:
        return NOTHING
    found = as_expected(evidence, "LSE-3") or []
    for event in lost:
        found += _silence(evidence, "LSE-3", event)
    return found + (ended or [])


def _past_their_end(evidence: Evidence) -> list[Violation] | None:
    """Find requests after the local end of a lease that was not renewed; None where every lease was given back first.

    The end is reckoned from when the last good answer was given, which is later than LSE-3's, and its `Date` is in
    whole seconds, which may make a lease look one longer: so nobody is wronged.
    """
    lease = evidence.scenario.platform.lease_seconds + DATE_SECONDS
    margin = max(SHORTEST_MARGIN_SECONDS, min(LONGEST_MARGIN_SECONDS, lease / 3))
    found: list[Violation] | None = None
    for claim in evidence.of("claim"):
        if claim.status != GRANTED or claim.attempt is None:
            continue
        own = [
            event for event in evidence.of("heartbeat", "complete")
            if (event.task_id, event.attempt) == (claim.task_id, claim.attempt)
        ]  # fmt: skip
        renewed = [event for event in own if event.kind == "heartbeat" and event.status == GRANTED]
        last = [claim, *renewed][-1]
        end = last.at + lease - margin
        if evidence.final.at < end or any(
            event.kind == "complete" and event.status in SETTLED and event.at < end for event in own
        ):
            continue
        later = [one for one in _asked_by(evidence, claim) if one.at > end and one.kind != "heartbeat"]
        found = (found or []) + [
            violation(
                "LSE-3",
                f"nothing starts {end - last.at:.1f} s after the last good answer",
                event.kind,
                last.number,
                event.number,
            )
            for event in later
        ]
        found += _runs_on(evidence, "LSE-3", claim, end)
    return found


def _silence(evidence: Evidence, clause: str, lost: DispatcherCall) -> list[Violation]:
    """What an attempt still asked after it had read that its lease is lost, until another claim was granted."""
    number, task_id, attempt = lost.number, lost.task_id, lost.attempt
    claims = [one for one in evidence.of("claim") if (one.task_id, one.attempt) == (task_id, attempt)]
    # The answer to a heartbeat may be on its way still while another thread of the worker asks for something.
    until = lost.at + ANSWER_SECONDS if lost.kind == "heartbeat" else lost.at
    found = [
        violation(clause, "no further request starts", event.kind, number, event.number)
        for claim in claims
        for event in _asked_by(evidence, claim)
        if event.number > number and (event.at > until or event.kind == "heartbeat")
    ]
    return found + [one for claim in claims for one in _runs_on(evidence, clause, claim, lost.at)]


def _runs_on(evidence: Evidence, clause: str, claim: DispatcherCall, lost: float) -> list[Violation]:
    """Find Cryos of a claim's attempt that lived on after its lease was lost, at `lost` seconds."""
    ends = {event.started: event for event in evidence.of("cryo_ended")}
    several = len(evidence.of("worker_started")) > 1
    found = []
    for cryo in evidence.cryos():
        paths = f"{cryo.directory} {' '.join(cryo.arguments)}"
        own = f"{claim.task_id}/{claim.attempt}" in paths if several else cryo.number > claim.number
        end = ends.get(cryo.number, evidence.final)
        if own and cryo.at < lost and end.at > lost + STOP_SECONDS:
            expected = f"Cryo is stopped within {STOP_SECONDS:g} s"
            found.append(violation(clause, expected, "it ran on", claim.number, cryo.number, end.number))
    return found


def _asked_by(evidence: Evidence, claim: DispatcherCall) -> list[Any]:
    """Return what the attempt of a claim asked of store and dispatcher after it.

    A store request is laid to the attempt where only its worker was there to claim it: until that worker, or with
    several workers anybody, is granted another.
    """
    worker = evidence.only_worker_at(claim.number)
    grants = [one.number for one in evidence.of("claim") if one.status == GRANTED and one.number > claim.number]
    until = min(grants, default=evidence.final.number)
    several = len(evidence.of("worker_started")) > 1
    found = []
    for event in evidence.of("store_asked", "heartbeat", "complete"):
        if event.kind != "store_asked":
            own = (event.task_id, event.attempt) == (claim.task_id, claim.attempt)
        elif several and worker is not None:
            own = event.worker == worker
        else:
            own = event.number < until
        if own and event.number > claim.number:
            found.append(event)
    return found


def lse_4(evidence: Evidence) -> Found:
    """Judge LSE-4: after SIGTERM no new claim, an orderly end in time, staging consistent."""
    signals = [event for event in evidence.of("acted") if event.action == "SIGTERM"]
    if not signals or "LSE-4" not in evidence.scenario.clauses:
        return NOTHING
    found = as_expected(evidence, "LSE-4") or []
    if evidence.scenario.delivery == "worker":
        first = signals[0]
        found += [
            violation("LSE-4", "no new task", event.task_id, first.number, event.number)
            for event in evidence.of("claim")
            if event.number > first.number and event.at > first.at + 1 and not evidence.scenario.platform.workers > 1
        ]
        found += [
            violation("LSE-4", f"exit {', '.join(map(str, sorted(ORDERLY)))}", event.code, event.number)
            for event in evidence.of("exit")
            if event.code not in ORDERLY
        ]
    found += [violation("LSE-4", "it ends in time", event.what, event.number) for event in evidence.of("timed_out")]
    left = [one.path for one in evidence.final.staged if one.type == "file"]
    return found + ([violation("LSE-4", "staging is consistent", left, evidence.final.number)] if left else [])


def sec_1(evidence: Evidence) -> Found:
    """Judge SEC-1: no secret in a log line, message, publication, key, metadata or object."""
    found = []
    for event in evidence.of("log_line", "exit"):
        text = event.text if event.kind == "log_line" else event.stdout
        if "<secret:" in text:
            found.append(violation("SEC-1", "no secret", text[-300:], event.number))
    for event in evidence.of("complete"):
        if "<secret:" in str(event.request.get("error_message")) + str(event.request.get("datasets_published")):
            found.append(violation("SEC-1", "no secret in a report", event.request.get("error_message"), event.number))
    for key, stored in evidence.final.objects.items():
        if stored.secrets or "<secret:" in key + str(stored.metadata):
            found.append(
                violation("SEC-1", "no secret in the store", f"{key}: {stored.secrets}", evidence.final.number)
            )
    for event in evidence.of("object_put"):
        if event.secrets or "<secret:" in event.key + str(event.metadata):
            found.append(
                violation("SEC-1", "no secret is sent to the store", f"{event.key}: {event.secrets}", event.number)
            )
    return found if found or any(task.ends for task in evidence.tasks) else NOTHING


def sec_2(evidence: Evidence) -> Found:
    """Judge SEC-2: no secret among any process's arguments, the URL in Cryo's environment, no MESC there."""
    if not evidence.cryos():
        return NOTHING
    found = [
        violation("SEC-2", "no secret", words, evidence.final.number)
        for words in evidence.final.arguments
        if "<secret:" in words
    ]
    for event in evidence.cryos():
        if event.environment and evidence.scenario.mode == "real" and "ETH_RPC_URL" not in event.environment:
            found.append(violation("SEC-2", "ETH_RPC_URL is in Cryo's environment", event.environment, event.number))
        mesc = [name for name in event.environment if name.startswith("MESC_")]
        if mesc:
            found.append(violation("SEC-2", "MESC_* is unset", mesc, event.number))
        if "<secret:" in " ".join(event.arguments):
            found.append(violation("SEC-2", "no secret in Cryo's arguments", event.arguments, event.number))
    return found


CHECKS = {
    "OUT-1": out_1, "OUT-2": out_2, "OUT-4": out_4, "OUT-5": out_5, "OUT-3": out_3, "LSE-1": lse_1, "LSE-5": lse_5,
    "LSE-2": lse_2, "LSE-3": lse_3, "LSE-4": lse_4, "SEC-1": sec_1, "SEC-2": sec_2,
}  # fmt: skip
