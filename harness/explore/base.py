"""The scenario that is explored: one of the scenario files, with short leases and more attempts."""

from __future__ import annotations

from typing import Any

from harness.faults.rpc import Delay
from harness.scenario import Platform, Scenario

LEASE_SECONDS = 9.0
"""Short, since a killed attempt is repeated only when its lease has ended; long enough for a busy machine."""
MAX_ATTEMPTS = 5
CRYO_DELAY_SECONDS = 5.0
"""Fake Cryo starts this much later, so that a worker has to renew its lease (LSE-2: after half of it)."""
RPC_TIMEOUT_SECONDS = "7"
"""Longer than the delay, which also passes through a worker's gateway."""
PATIENCE_SECONDS = 90.0
EXTRA_CLAUSES = ("LSE-3", "STG-5", "RPC-2")
"""Checked only where a scenario names them; a worker can break them in any cell."""


class Unexplorable(ValueError):
    """A scenario can't be explored; the message says why."""


def explored(scenario: Scenario) -> Scenario:
    """Return a scenario as it is explored; what its file sets is kept.

    Raises:
        Unexplorable: it expects a failure, or already has triggers.
    """
    if any(line.outcome != "success" for line in scenario.tasks):
        raise Unexplorable(f"{scenario.name}: choose a scenario in which every task succeeds")
    if scenario.triggers:
        raise Unexplorable(f"{scenario.name}: choose a scenario without triggers, which would meet other events")
    if scenario.delivery == "run" and len(scenario.tasks) > 1:
        raise Unexplorable(f"{scenario.name}: choose a scenario with one task, or with delivery = 'worker'")
    if scenario.platform.workers > 1:
        raise Unexplorable(f"{scenario.name}: choose a scenario with one worker, so that its requests have one order")
    clauses = (*scenario.clauses, *(clause for clause in EXTRA_CLAUSES if clause not in scenario.clauses))
    changes: dict[str, Any] = {
        "clauses": tuple(clause for clause in clauses if scenario.delivery == "worker" or not clause.startswith("LSE")),
        "patience_seconds": max(PATIENCE_SECONDS, scenario.patience_seconds),
        "environment": {"TRACE_RPC_TIMEOUT_SECONDS": RPC_TIMEOUT_SECONDS} | scenario.environment,
    }
    if scenario.delivery == "worker":
        short = {"lease_seconds": LEASE_SECONDS, "max_attempts": MAX_ATTEMPTS}
        changes["platform"] = Platform(**(short | scenario.platform.model_dump(exclude_unset=True)))
        if scenario.mode == "real" and scenario.cryo == "fake-cryo" and scenario.node.kind == "fake":
            delay = Delay(seconds=CRYO_DELAY_SECONDS, method="harness_script", may_miss=True)
            changes["rpc_faults"] = scenario.rpc_faults or (delay,)
    return scenario.model_copy(update=changes)
