"""The contract as a program: what it allows for the tasks of a scenario.

The input is what a scenario sets up: payloads, environment, node, stored objects and faults. The output is, for each
task, how it may end, whether Cryo must run, and the clauses that say so. Where the contract leaves a choice, both are
allowed; where the model does not know, everything is. It never reads what a scenario expects, and it uses neither a
worker nor a check, so that an error in them is not also here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    return tuple(_of_task(scenario, index) for index in range(len(scenario.tasks)))


def _of_task(scenario: Scenario, index: int) -> Allowed:
    line = scenario.tasks[index]
    payload = parsed(line)
    findings = [*configuration_findings(environment_of(scenario, line)), *payload_findings(payload)]
    if any(finding.certain for finding in findings):
        return conclude(findings, is_published=False)
    findings += [*_of_range(scenario, line, payload), *_other_dataset_findings(scenario, index)]
    first = parsed(scenario.tasks[0])
    if isinstance(first, dict) and _version(first) == _version(payload):
        findings += stored_findings(scenario, payload)
    stored = stored_of(scenario, payload)
    is_first = payload == first
    if not stored.is_known:
        findings.append(Finding(Stage.CRYO, ALL, "", certain=False))
    return conclude(findings, is_published=is_first and (stored.published or _is_again(scenario, index)))


def _of_range(scenario: Scenario, line: TaskLine, payload: dict[str, Any]) -> Iterator[Finding]:
    """Yield what a scenario does to a task with a valid payload."""
    environment = environment_of(scenario, line)
    first = parsed(scenario.tasks[0])
    is_measured = scenario.mode == "real" and isinstance(first, dict) and _range(first) == _range(payload)
    has_more_files = any(fault["do"] in {"extra_file", "grow"} for fault in scenario.cryo_faults)
    yield from cap_findings(environment, payload, is_measured=is_measured, has_more_files=has_more_files)
    yield from store_findings(scenario, has_stored_files=stored_of(scenario, payload).files)
    yield from dispatcher_findings(scenario)
    if scenario.mode == "fake":
        return
    stored = stored_of(scenario, payload)
    yield from node_findings(scenario, environment, payload)
    yield from cryo_findings(scenario, payload, has_stored_files=stored.files)
    yield from unknown_node(scenario)


def _is_again(scenario: Scenario, index: int) -> bool:
    """Return whether an earlier task of the same payload, which is over by then, has published the version."""
    if scenario.tasks[index].concurrent:
        return False
    own = parsed(scenario.tasks[index])
    earlier = [at for at in range(index) if parsed(scenario.tasks[at]) == own]
    return any(_of_task(scenario, at).outcomes == SUCCESS for at in earlier)


def _other_dataset_findings(scenario: Scenario, index: int) -> Iterator[Finding]:
    """Yield a finding if an earlier task has published another dataset as the same version (LAY-12)."""
    own = parsed(scenario.tasks[index])
    for at in range(index):
        other = parsed(scenario.tasks[at])
        is_same_version = isinstance(other, dict) and _version(other) == _version(own)
        if is_same_version and other.get("cryo_dataset_name") != own["cryo_dataset_name"]:
            published = _of_task(scenario, at).outcomes == SUCCESS
            yield Finding(Stage.BEFORE_CRYO, FATAL, "LAY-12", certain=published)


def _range(payload: dict[str, Any]) -> tuple[Any, ...]:
    return payload.get("cryo_dataset_name"), payload.get("range_start"), payload.get("range_end")


def _version(payload: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a version is made of (VER-2)."""
    names = ("dataset_uuid", "config_hash", "chain_id", "range_start", "range_end")
    return tuple(str(payload.get(name)).lower() for name in names)
