"""Who checks the checker: each bug of the reference worker has to be caught by the clause that it was made for."""

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
"""What the reference worker needs for any scenario of these, several times over."""


TRIED_FIRST = {
    "adopts-other-rows": "store-other-rows",
    "always-runs-cryo": "store-published",
    "at-the-cap-is-over": "cap-at-bytes",
    "believes-any-manifest": "store-torn-manifest",
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
    "error-is-evidence": "outage-busy",
    "extracts-a-second-dataset": "dataset-logs",
    "failure-publishes": "failed-service",
    "forgives-missing-traces": "traces-without-transaction",
    "keeps-broken-chunks": "mended-file",
    "leftovers-stay": "store-leftovers",
    "never-compares-sizes": "store-keeps-half",
    "no-margin-to-the-lease": "lease-late-answer",
    "no-url-is-retryable": "pool-unresolved",
    "one-empty-file-proves-all": "equal-twins",
    "other-schema-is-retryable": "wrong-schema",
    "precondition-failed-is-fatal": "store-file-after",
    "publishes-twice": "straight-service",
    "quotes-etags-only": "store-etags-without-quotes",
    "refuses-block-logs": "block-logs",
    "store-faults-are-fatal": "store-down",
    "takes-too-few-receipts": "pruned-logs-empty",
    "true-is-an-integer": "bad-payload-types",
    "trusts-conditional-writes": "store-ignores-conditions",
    "trusts-its-own-clock": "lease-other-clock",
    "trusts-logs-by-hash": "pruned-logs-null",
    "unclaimable-wakeups-stay": "stray-messages",
    "usage-error-is-retryable": "cryo-exit-2",
}
"""For bugs that few of their clause's scenarios show: the one that does, so that no others are run before it."""


def hurried(scenario: Scenario, seconds: float) -> Scenario:
    """Return a scenario that is given up sooner: who has a bug may never end."""
    return scenario.model_copy(update={"patience_seconds": min(seconds, scenario.patience_seconds)})


def likeliest_first(scenarios: Iterable[Scenario], clause: str) -> list[Scenario]:
    """Return the scenarios that exercise a clause: commands before services, few tasks first, then many clauses."""
    chosen = [one for one in scenarios if clause in one.clauses and not one.needs_engine]
    return sorted(
        chosen, key=lambda one: (one.delivery == "worker", one.patience_seconds, len(one.tasks), -len(one.clauses))
    )


def caught_by(bug: Bug, scenarios: Iterable[Scenario], around: Backends) -> str | None:
    """Return the first scenario of a bug's clause in which that clause is broken, or None."""
    target = find_target(REFERENCE, bug=bug.name)
    first = TRIED_FIRST.get(bug.name)
    for scenario in sorted(likeliest_first(scenarios, bug.clause), key=lambda one: one.name != first):
        result = check_history(run(hurried(scenario, PATIENCE_SECONDS), target, around))
        if any(violation.clause == bug.clause for violation in result.violations):
            return scenario.name
    return None
