"""Tests of the checks: each bug of the reference worker must be caught by its clause."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.checks.verdict import check_history
from harness.runner.run import run
from harness.targets import REFERENCE
from harness.targets import find as find_target

if TYPE_CHECKING:
    from harness.reference.bugs import Bug
    from harness.scenario import Scenario
    from harness.stores.backends import Backends


PATIENCE_SECONDS = 20.0
"""Several times what the reference worker needs for any of these scenarios."""


TRIED_FIRST = {
    "adopts-other-rows": "store-other-rows",
    "always-runs-cryo": "store-published",
    "at-the-cap-is-over": "cap-at-bytes",
    "believes-any-manifest": "store-manifest-without-objects",
    "believes-empty-answers": "lost-logs",
    "believes-exit-zero": "lost-rows",
    "believes-less-evidence": "store-less-evidence",
    "clock-skew-is-fatal": "store-clock-skew-uploading",
    "calls-rows-chain": "no-receipts-full-bloom",
    "common-url-first": "pool-own-first",
    "config-hash-is-optional": "missing-fields",
    "counts-rows-only": "replaced-block",
    "deletes-another-dataset": "store-other-dataset",
    "expired-token-is-fatal": "store-expired-token-uploading",
    "cryo-reads-from-the-pool": "pool-url-hidden",
    "does-not-check-the-next": "endpoint-dies-other-chain",
    "does-not-compare-the-branch": "endpoint-dies-other-branch",
    "does-not-fail-over": "endpoint-dies",
    "error-is-evidence": "outage-busy",
    "extracts-a-second-dataset": "dataset-logs",
    "failure-publishes": "failed-service",
    "forgives-missing-traces": "traces-without-transaction",
    "keeps-broken-chunks": "rerun-truncated-file",
    "leftovers-stay": "store-leftovers",
    "never-compares-sizes": "store-keeps-half",
    "no-margin-to-the-lease": "lease-late-answer",
    "no-url-is-retryable": "pool-unresolved",
    "notes-the-url-in-staging": "pool-url-hidden",
    "one-empty-file-proves-all": "equal-twins",
    "other-schema-is-retryable": "wrong-schema",
    "passes-the-pool-on": "pool-url-hidden",
    "precondition-failed-is-fatal": "store-file-after",
    "publishes-part-of-the-range": "cryo-exit-1-some-files",
    "publishes-twice": "straight-service",
    "quotes-etags-only": "store-etags-without-quotes",
    "refuses-block-logs": "block-logs",
    "repeats-no-call": "node-fails-429",
    "store-faults-are-fatal": "store-down",
    "takes-too-few-receipts": "pruned-logs-empty",
    "true-is-an-integer": "bad-payload-types",
    "trusts-conditional-writes": "store-ignores-conditions",
    "trusts-its-own-clock": "lease-other-clock",
    "trusts-logs-by-hash": "pruned-logs-null",
    "unclaimable-wakeups-stay": "stray-messages",
    "usage-error-is-retryable": "cryo-exit-2",
    "waits-for-ever": "node-leaves-unanswered",
}
"""The scenario to try first, for bugs that only a few scenarios of their clause reveal."""


def with_time_limit(scenario: Scenario, seconds: float) -> Scenario:
    """Return a scenario with a shorter time limit, since a worker with a bug may never end."""
    return scenario.model_copy(update={"patience_seconds": min(seconds, scenario.patience_seconds)})


def fastest_first(scenarios: Iterable[Scenario], clause: str) -> list[Scenario]:
    """Return the scenarios of a clause, the fastest first: commands before services, then by tasks and clauses."""

    def cost(scenario: Scenario) -> tuple[bool, float, int, int]:
        is_service = scenario.delivery == "worker"
        return is_service, scenario.patience_seconds, len(scenario.tasks), -len(scenario.clauses)

    chosen = [scenario for scenario in scenarios if clause in scenario.clauses and not scenario.needs_engine]
    return sorted(chosen, key=cost)


def caught_by(bug: Bug, scenarios: Iterable[Scenario], stores: Backends) -> str | None:
    """Return the first scenario in which the checks report the clause of a bug as broken, or None."""
    target = find_target(REFERENCE, bug=bug.name)
    first = TRIED_FIRST.get(bug.name)
    for scenario in sorted(fastest_first(scenarios, bug.clause), key=lambda scenario: scenario.name != first):
        result = check_history(run(with_time_limit(scenario, PATIENCE_SECONDS), target, stores))
        if any(violation.clause == bug.clause for violation in result.violations):
            return scenario.name
    return None
