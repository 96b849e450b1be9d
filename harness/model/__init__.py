"""The contract as a program: what it allows for the tasks of a scenario.

The input is what a scenario sets up: payloads, environment, node, stored objects and faults. The output is, for each
task, how it may end, whether Cryo must run, and the clauses that say so. Where the contract leaves a choice, both are
allowed; where the model does not know, everything is. It never reads what a scenario expects, and it uses neither a
worker nor a check, so that an error in them is not also here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.contract import dataset_version, payload_is_valid
from harness.model.allowed import ALL, FATAL, SUCCESS, Allowed, Finding, Stage, conclude
from harness.model.configuration import cap_findings, configuration_findings, environment_of
from harness.model.cryo import cryo_findings
from harness.model.levels import evidence_of
from harness.model.node import node_findings, unknown_node
from harness.model.payload import bad_fields, parsed, payload_findings
from harness.model.store import dispatcher_findings, store_findings
from harness.model.stored import stored_findings, stored_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from harness.scenario import Scenario, TaskLine

__all__ = ["ALL", "Allowed", "allowed", "bad_fields", "evidence_of"]


def allowed(scenario: Scenario) -> tuple[Allowed, ...]:
    """Return what the contract allows for each task of a scenario."""
    payloads = [parsed(line) for line in scenario.tasks]
    found: list[Allowed] = []
    for line in scenario.tasks:
        found.append(_of_task(scenario, line, payloads, found))
    return tuple(found)


def _of_task(scenario: Scenario, line: TaskLine, payloads: list[Any], earlier: list[Allowed]) -> Allowed:
    """Return what is allowed for a task after the `earlier` ones; `payloads` are those of all tasks."""
    environment, payload, first = environment_of(scenario, line), payloads[len(earlier)], payloads[0]
    findings = [*configuration_findings(environment), *payload_findings(payload)]
    if any(finding.certain for finding in findings):
        return conclude(findings, is_published=False)
    stored = stored_of(scenario, payload)
    findings += cap_findings(
        environment,
        payload,
        is_measured=scenario.mode == "real" and isinstance(first, dict) and _range(first) == _range(payload),
        has_more_files=any(fault["do"] in {"extra_file", "grow"} for fault in scenario.cryo_faults),
    )
    findings += store_findings(scenario, has_stored_files=stored.files)
    findings += dispatcher_findings(scenario)
    if scenario.mode == "real":
        findings += node_findings(scenario, environment, payload)
        findings += cryo_findings(scenario, payload, has_stored_files=stored.files)
        findings += unknown_node(scenario)
    before = list(zip(payloads, earlier, strict=False))
    findings += _other_dataset_findings(payload, before)
    if payload_is_valid(first) and dataset_version(first) == dataset_version(payload):
        findings += stored_findings(scenario, payload)
    if not stored.is_known:
        findings.append(Finding(Stage.CRYO, ALL, "", certain=False))
    again = not line.concurrent and any(other == payload and each.outcomes == SUCCESS for other, each in before)
    return conclude(findings, is_published=payload == first and (stored.published or again))


def _other_dataset_findings(payload: dict[str, Any], before: list[tuple[Any, Allowed]]) -> Iterator[Finding]:
    """Yield a finding if an earlier task has published another dataset as the same version (LAY-12)."""
    for other, each in before:
        is_same_version = payload_is_valid(other) and dataset_version(other) == dataset_version(payload)
        if is_same_version and other["cryo_dataset_name"] != payload["cryo_dataset_name"]:
            yield Finding(Stage.BEFORE_CRYO, FATAL, "LAY-12", certain=each.outcomes == SUCCESS)


def _range(payload: dict[str, Any]) -> tuple[Any, ...]:
    return payload.get("cryo_dataset_name"), payload.get("range_start"), payload.get("range_end")
