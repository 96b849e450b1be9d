"""RPC: failed calls, limits, the URL of the pool, and the change to another endpoint."""

from __future__ import annotations

from collections import Counter, defaultdict

from harness.checks.evidence import NOT_EXERCISED, Evidence, Findings, Violation, check_outcomes, violation
from harness.history import CryoStarted, RpcCall, WorkerStarted

MAX_RATIO = 1.5
"""RPC-1: calls for each call that a clean run needs."""
READING_SECONDS = 0.5
"""How long a worker may need to read a 429: a request may leave on another connection while the answer is on its way,
on a slow machine too. Scenarios use a `Retry-After` of several times this."""
CLOCK_SECONDS = 0.02
"""How much earlier than `Retry-After` a timer may end."""
BUNCHING_SECONDS = 0.5
"""RPC-2: calls that a worker sent evenly may arrive together after a pause of the machine of this length."""
RATE_VARIABLE = "TRACE_CRYO_REQUESTS_PER_SECOND"


def rpc_1(evidence: Evidence) -> Findings:
    """Check RPC-1: the attempt succeeds, and sends at most 1.5 times as many calls as it has different calls.

    The number of different calls (by method and parameters) is a measure of what a clean run needs that fits every
    worker: it depends on the dataset, the range and on how the worker asks, but not on the node's failures. A worker
    that asks twice in a clean run, for the rows and for the proof, is not at fault, so the scenarios have level `rows`.
    """
    violations = check_outcomes(evidence, "RPC-1")
    if violations is NOT_EXERCISED:
        return NOT_EXERCISED
    calls = evidence.of(RpcCall)
    needed = len({(call.method, call.params) for call in calls})
    if len(calls) > MAX_RATIO * needed:
        expected = f"at most {MAX_RATIO} calls for each of {needed} different calls"
        repeated, count = Counter((call.method, call.params) for call in calls).most_common(1)[0]
        seen = f"{len(calls)} calls, of which {count} are {' '.join(repeated)}"
        violations.append(violation("RPC-1", expected, seen, calls[-1].number))
    return violations


def rpc_2(evidence: Evidence) -> Findings:
    """Check RPC-2: no call before the time that a 429 names, and never more calls than the limit of the attempt."""
    if "RPC-2" not in evidence.scenario.clauses:
        return NOT_EXERCISED
    violations = check_outcomes(evidence, "RPC-2") or []
    limit = evidence.scenario.environment.get(RATE_VARIABLE)
    limited = [call for call in evidence.of(RpcCall) if call.retry_after_seconds is not None]
    if limit is None and not limited:
        return NOT_EXERCISED
    violations += _calls_too_early(evidence, limited)
    if limit is not None and len(evidence.of(WorkerStarted)) == 1:
        violations += _calls_over_the_limit(evidence, int(limit))
    return violations


def _calls_too_early(evidence: Evidence, limited: list[RpcCall]) -> list[Violation]:
    """Find the calls between a 429 with `Retry-After` and the end of that time, at the same endpoint.

    A call that was on its way when the 429 was written is not held against a worker. A later one on the connection of
    the 429 is, since its client has read the answer; on another connection, one that arrives after `READING_SECONDS`.
    The requests of one batch get one answer, so only the first of its calls counts as the 429.
    """
    violations = []
    by_node: dict[str, list[RpcCall]] = defaultdict(list)
    for call in evidence.of(RpcCall):
        by_node[call.node].append(call)
    for refused in {(call.node, call.request): call for call in reversed(limited)}.values():
        end = refused.at + (refused.retry_after_seconds or 0.0) - CLOCK_SECONDS
        for call in by_node[refused.node]:
            if call.number < refused.number or call.request == refused.request or call.at >= end:
                continue
            if call.connection == refused.connection or call.at > refused.at + READING_SECONDS:
                expected = f"no call for {refused.retry_after_seconds:g} s after a 429 with this Retry-After"
                seen = f"{call.method} after {call.at - refused.at:.2f} s"
                violations.append(violation("RPC-2", expected, seen, refused.number, call.number))
    return violations


def _calls_over_the_limit(evidence: Evidence, rate: int) -> list[Violation]:
    """Find calls over the limit: in t seconds at most `rate` * t + `rate` arrive, with `BUNCHING_SECONDS` more.

    The level is that of a bucket from which `rate` calls a second run out. It is over its edge exactly if there is a
    time in which too many calls arrived.
    """
    edge = rate * (1 + BUNCHING_SECONDS)
    level, before = 0.0, 0.0
    for call in evidence.of(RpcCall):
        level = max(0.0, level - rate * (call.at - before)) + 1
        before = call.at
        if level > edge:
            expected = f"at most {rate} calls a second, after at most {rate} at once ({RATE_VARIABLE})"
            return [violation("RPC-2", expected, f"{level:.0f} calls at once", call.number)]
    return []


def rpc_3(evidence: Evidence) -> Findings:
    """Check RPC-3: no Cryo process has the pool's URL in its arguments, its environment or its files."""
    if "RPC-3" not in evidence.scenario.clauses:
        return NOT_EXERCISED
    starts = [event for event in evidence.of(CryoStarted) if event.pool_url_in is not None]
    expected = "Cryo has no URL of the pool"
    return [
        violation("RPC-3", expected, f"it is in Cryo's {', '.join(event.pool_url_in or ())}", event.number)
        for event in starts
        if event.pool_url_in
    ] if starts else NOT_EXERCISED  # fmt: skip


def rpc_4(evidence: Evidence) -> Findings:
    """Check RPC-4 by an endpoint that dies: the attempt goes on at the next one only if both have the same block."""
    violations = check_outcomes(evidence, "RPC-4")
    if violations is NOT_EXERCISED:
        return NOT_EXERCISED
    if evidence.successes and not any(call.node == "second" for call in evidence.of(RpcCall)):
        violations.append(violation("RPC-4", "the second endpoint is called", "no call to it"))
    return violations


CHECKS = {"RPC-1": rpc_1, "RPC-2": rpc_2, "RPC-3": rpc_3, "RPC-4": rpc_4}
