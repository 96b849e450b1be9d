"""The checks find no violation in correct histories, and the right one in each history with an injected defect."""

from pathlib import Path
from typing import Any

import pytest
from support.history_changes import (
    LEAK,
    Change,
    Events,
    add,
    all_parquet_facts,
    at_end,
    change_final_state,
    changed,
    completion_fields,
    copies_of_objects,
    cryo_with_mesc,
    deletion,
    each,
    final_fields,
    first_put,
    first_put_after_manifest,
    left_in_staging,
    manifest,
    object_fields,
    objects,
    other_version,
    parquet,
    put_after_manifest,
    put_after_publication,
    put_elsewhere,
    put_of,
    registered_twice,
    remove_objects,
    rpc_call,
    second_completion,
    stdout,
    store_request_after_conflict,
    store_request_before_claim,
    unexpected_put,
    without,
    without_completions,
    wrong_row_count,
)

from harness import history
from harness.checks.verdict import CHECKS, Verdict, check_history, verdicts
from harness.history import (
    FinalState,
    LogLine,
    MessageAcknowledged,
    StoreRequest,
    StoreResponse,
    of,
    scenario_started,
)
from harness.resources import clause_ids
from harness.runner.run import run
from harness.scenario import find
from harness.stores.backends import Backends
from harness.stores.bucket import S3Endpoint
from harness.targets import find as find_target


def test_every_clause_has_a_check_and_a_scenario():
    """Each clause of the contract has one check and at least one scenario."""
    assert set(CHECKS) == set(clause_ids())
    assert {clause for scenario in find() for clause in scenario.clauses} == set(clause_ids())


def test_a_correct_worker_has_no_violations(histories: dict[str, Events]):
    """The checks find no violation in correct histories, and every fault of the scenarios fired."""
    for name, events in histories.items():
        result = check_history(events)
        assert (result.violations, result.errors) == ((), ()), name
        assert result.passed, name


def test_a_saved_history_has_the_same_result(histories: dict[str, Events], tmp_path: Path):
    """Checks read nothing but the history."""
    for events in histories.values():
        history.save(events, tmp_path / "h.jsonl")
        assert check_history(history.load(tmp_path / "h.jsonl")) == check_history(events)


def test_two_runs_of_one_scenario_have_the_same_stable_history(histories: dict[str, Events], cryo_moto: S3Endpoint):
    """Fields that are not declared volatile are the same in every run."""
    (scenario,) = find([SERVICE])
    second = run(scenario, find_target(), Backends(cryo_moto, cryo_moto, "moto"))
    assert history.stable(second) == history.stable(histories[SERVICE])


RUN, SERVICE, FAKE, EXIT_2, BAD, CANCELLED, NOT_JSON, OTHER_DATASET, IGNORES_CONDITIONS = (
    "straight-run", "straight-service", "fake-mode", "cryo-exit-2", "bad-payload-service", "cancelled-at-completion",
    "not-json", "store-other-dataset", "store-ignores-conditions",
)  # fmt: skip
DEFECTS: list[tuple[str, str, Change]] = [
    ("PUB-1", RUN, stdout(lambda text: text * 2)),
    ("PUB-1", RUN, stdout(lambda _: "")),
    ("PUB-2", RUN, stdout(lambda text: text.replace("*.parquet", "*"))),
    ("VER-2", RUN, stdout(lambda text: text.replace('"dataset_version":"', '"dataset_version":"0'))),
    ("VER-1", FAKE, other_version),
    ("PUB-3", BAD, completion_fields(datasets_published=[{}], outcome="fatal_error")),
    ("PUB-4", RUN, remove_objects(".json")),
    ("PUB-4", RUN, object_fields(digest="00")),
    ("PUB-4", SERVICE, add(put_after_publication)),
    ("PUB-5", CANCELLED, add(second_completion)),
    ("PUB-6", SERVICE, registered_twice),
    ("LAY-1", RUN, add(put_elsewhere)),
    ("LAY-2", RUN, put_of("/.cryo/reports/1.json")),
    ("LAY-2", RUN, remove_objects(".parquet")),
    ("LAY-3", RUN, manifest(lambda text: text.replace("blocks__", "block__"))),
    ("LAY-4", RUN, manifest(lambda text: text.replace('"version":1', '"version":1,"attempt":1'))),
    ("LAY-5", RUN, add(put_after_manifest)),
    ("LAY-5", RUN, first_put_after_manifest),
    ("LAY-5", RUN, all_parquet_facts(unreadable="cut off")),
    ("LAY-5", RUN, object_fields(digest="00")),
    ("LAY-6", RUN, copies_of_objects),
    ("LAY-7", RUN, manifest(lambda text: text.replace(",", ", "))),
    ("LAY-8", RUN, objects(wrong_row_count)),
    ("LAY-8", RUN, each("object_put", checksum=None)),
    ("LAY-8", RUN, each("object_put", metadata={"evidence": "receipts"})),
    ("LAY-9", RUN, put_of("/other.parquet")),
    ("LAY-10", RUN, each("object_put", create_only=False)),
    ("LAY-12", OTHER_DATASET, add(deletion)),
    ("LAY-12", OTHER_DATASET, manifest(lambda text: text.replace("logs", "blocks"))),
    ("LAY-12", OTHER_DATASET, remove_objects(".parquet")),
    ("LAY-12", OTHER_DATASET, each("exit", code=0)),
    ("RNG-1", RUN, each("cryo_started", arguments=("blocks", "--blocks", "500:1699"))),
    ("RNG-2", RUN, parquet(last=9000)),
    ("RNG-3", RUN, each("cryo_started", arguments=("logs", "--blocks", "500:1700"))),
    ("RNG-4", RUN, parquet(digest="other")),
    ("MOD-1", FAKE, add(rpc_call)),
    ("MOD-2", FAKE, parquet(digest="other")),
    ("MOD-5", FAKE, parquet(fake=False)),
    ("MOD-5", FAKE, without(LogLine)),
    ("STG-1", RUN, each("cryo_started", directory="/elsewhere")),
    ("STG-3", RUN, left_in_staging("1")),
    ("STG-8", EXIT_2, left_in_staging("1")),
    ("OUT-2", EXIT_2, each("exit", code=75)),
    ("PAY-2", NOT_JSON, add(unexpected_put)),
    ("PAY-2", BAD, completion_fields(error_message="it is bad")),
    ("OUT-1", SERVICE, add(second_completion)),
    ("OUT-1", SERVICE, without_completions),
    ("LSE-1", SERVICE, store_request_before_claim),
    ("LSE-3", CANCELLED, store_request_after_conflict),
    ("SEC-1", SERVICE, each("log_line", text=LEAK)),
    ("SEC-1", RUN, object_fields(secrets=("rpc-key",))),
    ("SEC-1", RUN, each("object_put", secrets=("rpc-key",))),
    ("SEC-2", RUN, each("cryo_started", environment=("PATH",))),
    ("SEC-2", RUN, final_fields(arguments=(LEAK,))),
    ("SEC-2", RUN, add(cryo_with_mesc)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("clause", "name", "change"), DEFECTS, ids=[f"{clause}-{index}" for index, (clause, *_) in enumerate(DEFECTS)]
)
def test_a_defect_violates_its_clause(clause: str, name: str, change: Change, histories: dict[str, Events]):
    """Each injected defect is a FAIL of its clause, with the text of the contract."""
    result = check_history(change(histories[name]))
    assert result.errors == ()
    found = [violation for violation in result.violations if violation.clause == clause]
    assert found, [violation.clause for violation in result.violations]
    assert found[0].clause_text
    assert verdicts([result])[clause] is Verdict.FAIL


def with_probe(events: Events, *, status: int, **condition: Any) -> Events:
    """Return the history with a file's PUT repeated just before the PUT of the manifest is requested."""
    index = next(
        index for index, event in enumerate(events) if isinstance(event, StoreRequest) and event.key.endswith(".json")
    )
    number = events[index - 1].number
    fields = {"number": number, "request_number": number, "status": status, "delivered_status": status}
    return [
        *events[:index],
        changed(first_put(events), **fields, **({"create_only": False} | condition)),
        *events[index:],
    ]


@pytest.mark.parametrize("condition", [{"create_only": True}, {"if_match": '"0"'}], ids=["create-only", "If-Match"])
def test_a_rejected_probe_of_conditional_writes_is_no_violation(
    condition: dict[str, Any], histories: dict[str, Events]
):
    """LAY-2, LAY-5, LAY-10: a worker may test whether the store rejects a conditional PUT."""
    result = check_history(with_probe(histories[RUN], status=412, **condition))
    assert (result.violations, result.errors) == ((), ())


@pytest.mark.parametrize(("same_bytes", "violates"), [(True, False), (False, True)], ids=["same", "different"])
def test_lay_10_an_accepted_probe_replaces_nothing(
    same_bytes: bool,  # noqa: FBT001 - pytest passes parameters by name
    violates: bool,  # noqa: FBT001 - as above
    histories: dict[str, Events],
):
    """LAY-10: where conditions are ignored, a create-only PUT of the stored bytes leaves complete data unchanged."""
    events = histories[IGNORES_CONDITIONS]
    preloaded = scenario_started(events).preloaded
    (key,) = preloaded
    put = next(event for event in of(events, StoreResponse) if event.kind == "object_put" and event.key != key)
    probe = changed(put, key=key, digest=preloaded[key] if same_bytes else "00", **at_end(events))
    violated = {violation.clause for violation in check_history([*events[:-1], probe, events[-1]]).violations}
    assert ("LAY-10" in violated) is violates


def test_a_fault_that_never_fired_is_an_error(histories: dict[str, Events]):
    """If its fault never fired, none of a scenario's clauses is PASS."""
    result = check_history(change_final_state(histories[RUN], unfired_faults=("store put",)))
    assert result.errors == ("a fault never fired: store put",)
    assert verdicts([result])["LAY-1"] is Verdict.ERROR


def test_a_history_without_final_state_is_an_error(histories: dict[str, Events]):
    """An incomplete history has no verdict."""
    assert not isinstance(histories[RUN][-2], FinalState)
    assert check_history(histories[RUN][:-1]).errors == ("the history has no final state",)


def test_a_clause_that_no_scenario_exercises_is_not_exercised(histories: dict[str, Events]):
    """The verdict on such a clause is NOT EXERCISED, not PASS."""
    assert verdicts([check_history(histories[RUN])])["OUT-3"] is Verdict.NOT_EXERCISED


def test_lse_5_an_acknowledgement_after_a_failed_claim_is_a_violation(histories: dict[str, Events]):
    """LSE-5: the claim got 503, and its message was deleted."""
    events = each("claim", status=503, attempt=None, response={})(histories[SERVICE])
    assert of(events, MessageAcknowledged)
    assert "LSE-5" in {violation.clause for violation in check_history(events).violations}
