"""The model of the contract, held against the scenarios that were written by hand."""

from typing import Any

import pytest

from harness.model import ALL, allowed, bad_fields, evidence_of
from harness.scenario import PAYLOAD, Scenario, find

TASKS = [(scenario, index) for scenario in find() for index in range(len(scenario.tasks))]
SUCCESS = frozenset(("success",))


def of(**fields: Any) -> Scenario:
    """Return a scenario with one task."""
    return Scenario.model_validate({"name": "s", "title": "s", "clauses": ("OUT-1",), **fields})


@pytest.mark.parametrize(("scenario", "index"), TASKS, ids=[f"{scenario.name} {index}" for scenario, index in TASKS])
def test_the_model_allows_what_a_scenario_expects(scenario: Scenario, index: int):
    """Whoever is wrong, the model or the scenario: they must not differ."""
    line, found = scenario.tasks[index], allowed(scenario)[index]
    expected = {"success", "retryable_error"} if line.outcome == "success_or_retry" else {line.outcome}
    assert expected <= found.outcomes
    assert None in {line.cryo, found.cryo} or line.cryo is found.cryo


def test_the_model_knows_most_scenarios():
    """A model that allowed everything would agree with every scenario."""
    found = [each for scenario in find() for each in allowed(scenario)]
    assert sum(each.is_known for each in found) >= 220
    assert sum(len(each.outcomes) == 1 for each in found) >= 160


def test_a_bad_payload_is_fatal_before_cryo():
    """The model names the clause."""
    (found,) = allowed(of(tasks=[{"set": {"range_end": 500}}]))
    assert (found.outcome, found.cryo, found.clauses) == ("fatal_error", False, ("PAY-2",))


@pytest.mark.parametrize(
    ("changes", "bad"),
    [
        ({}, []),
        ({"dataset_key": "scenario\n"}, ["dataset_key"]),
        ({"dataset_key": "a" * 64, "dataset_uuid": PAYLOAD["dataset_uuid"].upper()}, []),
        ({"chain_id": True, "range_start": 1.0}, ["chain_id", "range_start"]),
        ({"range_start": 4_294_967_294, "range_end": 4_294_967_295}, []),
        ({"range_end": 4_294_967_296}, ["range_end"]),
        ({"rpc_pool": "https://node.example"}, ["rpc_pool"]),
    ],
)
def test_fields_are_valid_to_the_letter(changes: dict[str, Any], bad: list[str]):
    """JSON integers, whole patterns, and the last block that Cryo's columns hold."""
    assert bad_fields(PAYLOAD | changes) == bad


def test_a_payload_that_is_no_object_has_only_bad_fields():
    """It has no fields to check."""
    assert bad_fields([]) == list(PAYLOAD)


def test_two_unfit_endpoints_leave_a_choice():
    """A worker may give up at a wrong chain, or hope for the endpoint that does not answer."""
    urls = {"TRACE_RPC_POOL_LOCAL_URL": "{dead_url} {other_chain_url}"}
    (found,) = allowed(of(environment=urls))
    assert found.outcomes == {"fatal_error", "retryable_error"}
    assert found.outcome is None


def test_a_published_version_needs_no_cryo_and_no_node():
    """LAY-10: it is published as it stands, even if the endpoint's head is behind its range."""
    objects = [{"key": "{prefix}{chunk}", "content": "whole", "chunk": chunk} for chunk in (0, 1)]
    objects.append({"key": "{prefix}_manifest.json", "content": "manifest"})
    (found,) = allowed(of(preloaded_objects=objects))
    assert (found.outcomes, found.cryo) == (SUCCESS, False)
    (found,) = allowed(of(preloaded_objects=objects, node={"head": 10}))
    assert found.outcomes == {"success", "retryable_error"}


def test_a_later_attempt_publishes_what_the_first_one_stored():
    """The same payload again is the same version."""
    first, second = allowed(of(tasks=[{}, {"attempt": 2, "same_task": True}]))
    assert (first.cryo, second.cryo) == (True, False)


def test_what_the_model_does_not_read_it_does_not_judge():
    """A trigger may do anything to a task."""
    (found,) = allowed(of(triggers=[{"event": "cryo_started", "do": "SIGKILL"}]))
    assert found.outcomes == ALL


@pytest.mark.parametrize(
    ("dataset", "level", "evidence"),
    [
        ("blocks", "receipts", "chain"),
        ("logs", "receipts", "receipts"),
        ("balance_diffs", "chain", "rows"),
        ("balance_diffs", "rows", "rows"),
    ],
)
def test_not_every_dataset_can_be_proved_at_every_level(dataset: str, level: Any, evidence: str):
    """RNG-4 lists what a node's answers say about each dataset."""
    assert evidence_of(dataset, level) == evidence
