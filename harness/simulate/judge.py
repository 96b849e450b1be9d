"""What is wrong with a simulated run: the checks of scenarios, and laws about every attempt."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from harness.checks.verdict import NOT_SHOWN, check_history
from harness.history import DispatcherCall, FinalState, of
from harness.simulate.plan import PlannedFault, Switch
from harness.simulate.stored import needless_changes
from harness.simulate.tokens import told_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.checks.evidence import Violation
    from harness.history import Event
    from harness.simulate.plan import Step
    from harness.simulate.world import World

BY_ATTEMPT = "OUT-1"
"""Judged here instead of by its check, which expects a report of every attempt: one that was killed or that lost its
lease need not report."""

MANY_REQUESTS = 2000
"""Far more than any honest run sends: repeated without a pause, one request becomes thousands."""

BY_REQUEST = ("LSE-3", "PUB-5", "PUB-6")
"""Clauses whose violations name the requests that were sent too late; except for PUB-6, the response is named first."""

ROUNDING_SECONDS = 0.00001
"""Events have their times in microseconds."""


def problems_of(world: World, events: Sequence[Event]) -> list[str]:
    """Return what is wrong, each with the clause that it breaks."""
    if not events or not isinstance(events[-1], FinalState):
        return [*world.problems, "the run did not come to its end"]
    checked = check_history(events)
    found = [
        f"{each.clause}: expected {each.expected}; seen: {each.seen}"
        for each in checked.violations
        if each.clause != BY_ATTEMPT and not _is_excused(each, world, events)
    ]
    found += [error for error in checked.errors if NOT_SHOWN not in error]
    found += [f"{BY_ATTEMPT}: {each.detail}" for each in world.machine.violations if each.clause == BY_ATTEMPT]
    found += told_tokens(events, world.machine.secrets)
    claims = world.doubles.dispatcher.claims_after_sigterm
    found += [f"LSE-4: expected no claim after SIGTERM; seen: one of worker {life}" for life in claims]
    if len(world.boundary.operations) > MANY_REQUESTS:
        found.append(f"expected at most {MANY_REQUESTS} requests; seen: {len(world.boundary.operations)}")
    return [*world.problems, *found, *_reports(world, events), *_needless_attempts(world), *needless_changes(events)]


WITHIN_THE_ATTEMPT: dict[tuple[str, str], str] = {
    ("cryo.file", "refused"): "OUT-5",
    ("cryo.file", "unanswered"): "OUT-5",
    ("store.create", "unanswered"): "LAY-10",
    ("store.create", "cut-off"): "LAY-10",
    ("dispatcher.heartbeat", "refused"): "LSE-2",
    ("dispatcher.heartbeat", "unanswered"): "LSE-2",
    ("dispatcher.heartbeat", "cut-off"): "LSE-2",
    ("dispatcher.complete", "refused"): "OUT-1",
    ("dispatcher.complete", "unanswered"): "OUT-1",
    ("dispatcher.complete", "cut-off"): "OUT-1",
}
"""Faults that must not cost the attempt if nothing else goes wrong, with the clause that says how it goes on: Cryo runs
again, the worker's own object is adopted, the lease is renewed in the next try, the report is repeated."""


def _needless_attempts(world: World) -> list[str]:
    """Find a second attempt after one fault from which the first one must recover."""
    steps = world.plan.steps
    if len(steps) != 1 or not isinstance(steps[0], PlannedFault) or steps[0].lasting:
        return []
    clause = WITHIN_THE_ATTEMPT.get((steps[0].operation.name, steps[0].kind))
    return [
        f"{clause}: expected that one attempt of task {task.task_id} suffices; seen: {task.attempt}"
        for task in world.machine.tasks
        if clause is not None and task.attempt > 1
    ]


def _is_excused(each: Violation, world: World, events: Sequence[Event]) -> bool:
    """Return whether a violation comes from the plan, so that no worker could avoid it.

    Cryo must run again (OUT-5) only if the fault that makes it fail fired. A stopped worker can't stop its Cryo, and
    sends what it was about to send when it goes on. A request that arrives late is recorded after what the worker did
    when it had given that request up; and a second wake-up of a task may be deleted while a claim for the first one
    fails.
    """
    if each.clause == "OUT-5":
        return bool(world.plan.unfired)
    if each.clause == "LSE-3" and each.expected.startswith("Cryo is stopped within"):
        return world.boundary.stops > 0
    late = [events[number - 1] for number in each.events[each.clause != "PUB-6" :]]
    if each.clause in BY_REQUEST and late:
        return all(_was_sent_in_time(world, event) or _is_first_refusal(each, event) for event in late)
    if each.clause == "LSE-5" and each.expected == "the message stays in the queue":
        slow = any(fault.kind == "slow" and fault.operation.name == "dispatcher.claim" for fault in world.plan.faults)
        return slow or world.scenario.platform.wakeups > 1
    return False


def _was_sent_in_time(world: World, event: Event) -> bool:
    """Return whether a request that arrived too late was sent, or about to be sent, before that."""
    at = event.at + world.started_at
    return any(abs(at - late) <= ROUNDING_SECONDS for late in world.boundary.late_at)


def _is_first_refusal(each: Violation, event: Event) -> bool:
    """Return whether a completion after the accepted one told an attempt that its lease was taken.

    It could not know it before; another request after this answer breaks PUB-5.
    """
    return each.clause == "PUB-6" and isinstance(event, DispatcherCall) and event.status == HTTPStatus.CONFLICT


@dataclass(slots=True)
class _Attempt:
    """What is known of one attempt; `is_fenced` means that the dispatcher refused one of its requests."""

    life: int
    bodies: list[dict[str, object]] = field(default_factory=list)
    is_accepted: bool = False
    is_fenced: bool = False


def _reports(world: World, events: Sequence[Event]) -> list[str]:
    """Check OUT-1 for every attempt: one report, repeated to the letter, unless it was killed or lost its lease."""
    attempts = {key: _Attempt(life) for key, life in world.doubles.dispatcher.claimed_by.items()}
    for call in of(events, DispatcherCall):
        attempt = attempts.get((str(call.task_id), call.attempt or 0))
        if attempt is None or call.kind == "claim" or call.fault is not None:
            continue
        attempt.is_fenced |= "error" in call.response
        if call.kind == "complete":
            attempt.bodies.append(call.request)
            attempt.is_accepted |= "error" not in call.response
    problems = []
    calls = [step for step in world.plan.faults if step.operation.name.startswith("dispatcher.")]
    may_lose_lease = any(map(_may_cost_the_lease, world.plan.steps)) or len(calls) > 1
    for (task_id, number), attempt in attempts.items():
        name = f"attempt {number} of task {task_id}"
        if any(body != attempt.bodies[0] for body in attempt.bodies):
            problems.append(f"OUT-1: expected one report of {name}, repeated to the letter; seen: different reports")
        lost = may_lose_lease or attempt.is_fenced or attempt.life in world.killed
        if not attempt.is_accepted and not lost:
            problems.append(f"OUT-1: expected a report of {name}; seen: none that was accepted")
    return problems


def _may_cost_the_lease(step: Step) -> bool:
    """Return whether a part of a plan can make a lease end before its attempt has reported.

    One heartbeat or completion without an answer can't, since the worker sends another one. A claim without an answer
    begins an attempt that no worker knows.
    """
    if isinstance(step, Switch) or step.lasting or step.kind in {"stopped", "lease-taken"}:
        return True
    return step.operation.name == "dispatcher.claim" and step.kind in {"slow", "unanswered", "cut-off"}
