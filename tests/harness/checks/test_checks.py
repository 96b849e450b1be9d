"""Who checks the checker: a good history has no violation, and each way of spoiling it is met by the clause for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import history
from harness.checks.verdict import CHECKS, Verdict, judge, verdicts
from harness.history import Acknowledged, CryoStarted, StagedEntry, StoreAnswered, StoreAsked
from harness.resources import clause_ids
from harness.runner.run import run
from harness.scenario import find
from harness.stores.backends import Backends
from harness.stores.bucket import S3Endpoint
from harness.targets import find as find_target

Events = list[Any]
LEAK = "https://node.example/<secret:rpc-key>"


def test_every_clause_has_a_check_and_a_scenario():
    """No clause of the contract is without either."""
    assert set(CHECKS) == set(clause_ids())
    assert {clause for scenario in find() for clause in scenario.clauses} == set(clause_ids())


def test_a_good_worker_breaks_nothing(histories: dict[str, Events]):
    """The checks accuse nobody who keeps the contract, and every fault of the scenarios struck."""
    for name, events in histories.items():
        judged = judge(events)
        assert (judged.violations, judged.errors) == ((), ()), name
        assert judged.kept, name


def test_a_saved_history_gives_the_same_verdicts(histories: dict[str, Events], tmp_path: Path):
    """Checks read nothing but the history."""
    for events in histories.values():
        history.save(events, tmp_path / "h.jsonl")
        assert judge(history.load(tmp_path / "h.jsonl")) == judge(events)


def test_two_runs_of_one_scenario_have_one_stable_history(histories: dict[str, Events], cryo_moto: S3Endpoint):
    """What is not declared volatile is the same in every run."""
    (scenario,) = find([SERVICE])
    second = run(scenario, find_target(), Backends(cryo_moto, cryo_moto, "moto"))
    assert history.stable(second) == history.stable(histories[SERVICE])


def final(events: Events, **changes: Any) -> Events:
    return [*events[:-1], events[-1].model_copy(update=changes)]


def with_objects(change: Callable[[str, Any], Any]) -> Callable[[Events], Events]:
    """Change each object of the end; None takes it away."""

    def spoil(events: Events) -> Events:
        objects = {key: change(key, held) for key, held in events[-1].objects.items()}
        return final(events, objects={key: held for key, held in objects.items() if held is not None})

    return spoil


def manifest(change: Callable[[str], str]) -> Callable[[Events], Events]:
    return with_objects(
        lambda key, held: held.model_copy(update={"text": change(held.text)}) if key.endswith(".json") else held
    )


def parquet(**changes: Any) -> Callable[[Events], Events]:
    return with_objects(
        lambda _, held: held.model_copy(update={"parquet": held.parquet | changes}) if held.parquet else held
    )


def parquet_is(**facts: Any) -> Callable[[Events], Events]:
    """Set all that can be read of each Parquet file."""
    return with_objects(lambda _, held: held.model_copy(update={"parquet": facts}) if held.parquet else held)


def each(kind: str, **changes: Any) -> Callable[[Events], Events]:
    """Change all events of a kind."""
    return lambda events: [one.model_copy(update=changes) if one.kind == kind else one for one in events]


def stdout(change: Callable[[str], str]) -> Callable[[Events], Events]:
    return lambda events: [
        one.model_copy(update={"stdout": change(one.stdout)}) if one.kind == "exit" else one for one in events
    ]


def without(*kinds: str) -> Callable[[Events], Events]:
    return lambda events: [one for one in events if one.kind not in kinds]


def report(**changes: Any) -> Callable[[Events], Events]:
    """Change what was asked at completion."""
    return lambda events: [
        one.model_copy(update={"request": one.request | changes}) if one.kind == "complete" else one for one in events
    ]


def added(make: Callable[[Events], Any]) -> Callable[[Events], Events]:
    """Add one event just before the end."""
    return lambda events: [*events[:-1], make(events), events[-1]]


def last(events: Events) -> dict[str, Any]:
    return {"number": events[-1].number, "at": events[-1].at}


def foreign_put(key: str) -> Callable[[Events], Events]:
    def make(events: Events) -> Any:
        put = next(one for one in events if one.kind == "object_put")
        return put.model_copy(update={"key": put.key.rpartition("/")[0] + key, **last(events)})

    return added(make)


def elsewhere(events: Events) -> Events:
    put = next(one for one in events if one.kind == "object_put")
    return [*events[:-1], put.model_copy(update={"key": "elsewhere.parquet", **last(events)}), events[-1]]


def late_file(events: Events) -> Events:
    put = next(one for one in events if one.kind == "object_put")
    return [*events[:-1], put.model_copy(update=last(events)), events[-1]]


def written_late(events: Events) -> Events:
    """Return the history with a file that was begun to be put after the publication had been taken."""
    put = next(one for one in events if one.kind == "object_put")
    return [*events[:-1], put.model_copy(update=last(events) | {"began": events[-1].number}), events[-1]]


def late_first_file(events: Events) -> Events:
    """Return the history of a worker without conditional writes whose first file came behind the manifest."""
    put = next(one for one in events if one.kind == "object_put")
    rest = [one for one in events[:-1] if one is not put]
    return [*rest, put.model_copy(update=last(events) | {"create_only": False}), events[-1]]


def staged(path: str) -> Callable[[Events], Events]:
    def spoil(events: Events) -> Events:
        task = next(one.task_id for one in events if one.kind == "task")
        entry = StagedEntry(path=f"{task}/{path}", type="file", mode="600")
        return final(events, staged=(entry,))

    return spoil


def early_store(events: Events) -> Events:
    return [events[0], StoreAsked(number=0, at=0, operation="list", key="cryo/1/"), *events[1:]]


def early_cryo(events: Events) -> Events:
    fields = {"arguments": ("logs", "--blocks", "0:9"), "environment": ("MESC_PATH",), "directory": "/x", "pid": 1}
    return added(lambda all_: CryoStarted(**last(all_), staged=(), **fields))(events)


def silent_store(events: Events) -> Events:
    """Return the history with a request to the store after the completion was refused."""
    asked = StoreAsked(number=events[-1].number, at=events[-1].at, operation="put", key="x")
    return [*events[:-1], asked, events[-1].model_copy(update={"number": events[-1].number + 1})]


def again(events: Events) -> Events:
    complete = next(one for one in events if one.kind == "complete")
    return [*events[:-1], complete.model_copy(update=last(events)), events[-1]]


def write(events: Events) -> Events:
    put = StoreAnswered(
        **last(events),
        kind="object_put",
        began=1,
        operation="PUT",
        key="x",
        status=200,
        answered=200,
        create_only=True,
        digest="00",
    )
    return [*events[:-1], put, events[-1]]


def other_version(events: Events) -> Events:
    """Return the history with another version in what the first worker published."""
    first = stdout(lambda text: text.replace('version":"', 'version":"1'))
    return [*first(events[:-2]), *events[-2:]]


def doubled(events: Events) -> Events:
    objects = events[-1].objects
    return final(events, objects=objects | {f"{key}.parquet": held for key, held in objects.items()})


def asked(events: Events) -> Any:
    return history.RpcCall(**last(events), node="n", method="eth_chainId", blocks=None, fault=False)


def deleted(events: Events) -> Any:
    """Return the deletion of an object that was there at the start."""
    fields = {"kind": "object_deleted", "began": 1, "operation": "DELETE", "status": 204, "answered": 204}
    return StoreAnswered(**last(events), **fields, key=next(iter(events[-1].objects)))


RUN, SERVICE, FAKE, EXIT_2, BAD, CANCELLED, NOT_JSON, OTHER_DATASET, IGNORES_CONDITIONS = (
    "straight-run", "straight-service", "fake-mode", "cryo-exit-2", "bad-payload-service", "cancelled-at-completion",
    "not-json", "store-other-dataset", "store-ignores-conditions",
)  # fmt: skip
SPOILS: list[tuple[str, str, Callable[[Events], Events]]] = [
    ("PUB-1", RUN, stdout(lambda text: text * 2)),
    ("PUB-1", RUN, stdout(lambda _: "")),
    ("PUB-2", RUN, stdout(lambda text: text.replace("*.parquet", "*"))),
    ("VER-2", RUN, stdout(lambda text: text.replace('"dataset_version":"', '"dataset_version":"0'))),
    ("VER-1", FAKE, other_version),
    ("PUB-3", BAD, report(datasets_published=[{}], outcome="fatal_error")),
    ("PUB-4", RUN, with_objects(lambda key, held: None if key.endswith(".json") else held)),
    ("PUB-4", RUN, with_objects(lambda _, held: held.model_copy(update={"digest": "00"}))),
    ("PUB-4", SERVICE, written_late),
    ("PUB-5", CANCELLED, again),
    ("PUB-6", SERVICE, lambda events: final(events, registered=dict.fromkeys(events[-1].registered, 2))),
    ("LAY-1", RUN, elsewhere),
    ("LAY-2", RUN, foreign_put("/.cryo/reports/1.json")),
    ("LAY-2", RUN, with_objects(lambda key, held: None if key.endswith(".parquet") else held)),
    ("LAY-3", RUN, manifest(lambda text: text.replace("blocks__", "block__"))),
    ("LAY-4", RUN, manifest(lambda text: text.replace('"version":1', '"version":1,"attempt":1'))),
    ("LAY-5", RUN, late_file),
    ("LAY-5", RUN, late_first_file),
    ("LAY-5", RUN, parquet_is(unreadable="cut off")),
    ("LAY-5", RUN, with_objects(lambda _, held: held.model_copy(update={"digest": "00"}))),
    ("LAY-6", RUN, doubled),
    ("LAY-7", RUN, manifest(lambda text: text.replace(",", ", "))),
    ("LAY-8", RUN, with_objects(lambda _, held: held.model_copy(update={"metadata": held.metadata | {"rows": "1"}}))),
    ("LAY-8", RUN, each("object_put", checksum=None)),
    ("LAY-8", RUN, each("object_put", metadata={"evidence": "receipts"})),
    ("LAY-9", RUN, foreign_put("/other.parquet")),
    ("LAY-10", RUN, each("object_put", create_only=False)),
    ("LAY-12", OTHER_DATASET, added(deleted)),
    ("LAY-12", OTHER_DATASET, manifest(lambda text: text.replace("logs", "blocks"))),
    ("LAY-12", OTHER_DATASET, with_objects(lambda key, held: held if key.endswith(".json") else None)),
    ("LAY-12", OTHER_DATASET, each("exit", code=0)),
    ("RNG-1", RUN, each("cryo_started", arguments=("blocks", "--blocks", "500:1699"))),
    ("RNG-2", RUN, parquet(last=9000)),
    ("RNG-3", RUN, each("cryo_started", arguments=("logs", "--blocks", "500:1700"))),
    ("RNG-4", RUN, parquet(digest="other")),
    ("MOD-1", FAKE, added(asked)),
    ("MOD-2", FAKE, parquet(digest="other")),
    ("MOD-5", FAKE, parquet(fake=False)),
    ("MOD-5", FAKE, without("log_line")),
    ("STG-1", RUN, each("cryo_started", directory="/elsewhere")),
    ("STG-3", RUN, staged("1")),
    ("STG-8", EXIT_2, staged("1")),
    ("OUT-2", EXIT_2, each("exit", code=75)),
    ("PAY-2", NOT_JSON, write),
    ("PAY-2", BAD, report(error_message="it is bad")),
    ("OUT-1", SERVICE, again),
    ("OUT-1", SERVICE, without("complete")),
    ("LSE-1", SERVICE, early_store),
    ("LSE-3", CANCELLED, silent_store),
    ("SEC-1", SERVICE, each("log_line", text=LEAK)),
    ("SEC-1", RUN, with_objects(lambda _, held: held.model_copy(update={"secrets": ("rpc-key",)}))),
    ("SEC-1", RUN, each("object_put", secrets=("rpc-key",))),
    ("SEC-2", RUN, each("cryo_started", environment=("PATH",))),
    ("SEC-2", RUN, lambda events: final(events, arguments=(LEAK,))),
    ("SEC-2", RUN, early_cryo),
]  # fmt: skip


@pytest.mark.parametrize(
    ("clause", "name", "spoil"), SPOILS, ids=[f"{clause}-{at}" for at, (clause, *_) in enumerate(SPOILS)]
)
def test_a_broken_promise_is_met_by_its_clause(
    clause: str, name: str, spoil: Callable[[Events], Events], histories: dict[str, Events]
):
    """Each spoilt history is a FAIL of the clause that it was made for, quoted from the contract."""
    judged = judge(spoil(histories[name]))
    assert judged.errors == ()
    found = [violation for violation in judged.violations if violation.clause == clause]
    assert found, [violation.clause for violation in judged.violations]
    assert found[0].quote
    assert verdicts([judged])[clause] is Verdict.FAIL


def probe(events: Events, *, status: int, **condition: Any) -> Events:
    """Return the history with a file's PUT repeated just before the manifest's is asked for."""
    put = next(one for one in events if one.kind == "object_put")
    at = next(place for place, one in enumerate(events) if one.kind == "store_asked" and one.key.endswith(".json"))
    number = events[at - 1].number
    changed = {"number": number, "began": number, "status": status, "answered": status, "create_only": False}
    return [*events[:at], put.model_copy(update=changed | condition), *events[at:]]


@pytest.mark.parametrize("condition", [{"create_only": True}, {"if_match": '"0"'}], ids=["create-only", "If-Match"])
def test_a_probe_of_conditional_writes_is_no_violation(condition: dict[str, Any], histories: dict[str, Events]):
    """LAY-2, LAY-5, LAY-10: a worker may try whether the store refuses a PUT that has to be refused."""
    judged = judge(probe(histories[RUN], status=412, **condition))
    assert (judged.violations, judged.errors) == ((), ())


@pytest.mark.parametrize(("same_bytes", "broken"), [(True, False), (False, True)], ids=["the same", "others"])
def test_lay_10_a_probe_that_a_store_takes_replaces_nothing(
    same_bytes: bool,  # noqa: FBT001 - pytest's way
    broken: bool,  # noqa: FBT001 - as above
    histories: dict[str, Events],
):
    """LAY-10: where conditions are ignored, a create-only PUT of the stored bytes leaves complete data as they are."""
    events = histories[IGNORES_CONDITIONS]
    (key,) = events[0].preloaded
    put = next(one for one in events if one.kind == "object_put" and one.key != key)
    digest = events[0].preloaded[key] if same_bytes else "00"
    taken = put.model_copy(update={"key": key, "digest": digest, **last(events)})
    found = {one.clause for one in judge([*events[:-1], taken, events[-1]]).violations}
    assert ("LAY-10" in found) is broken


def test_a_fault_that_never_fired_is_an_error(histories: dict[str, Events]):
    """Such a scenario has not shown anything, and none of its clauses passes."""
    judged = judge(final(histories[RUN], unfired_faults=("store put",)))
    assert judged.errors == ("a fault never fired: store put",)
    assert verdicts([judged])["LAY-1"] is Verdict.ERROR


def test_what_nothing_exercised_is_no_pass(histories: dict[str, Events]):
    """A clause that no scenario shows is reported as such."""
    assert verdicts([judge(histories[RUN])])["OUT-3"] is Verdict.NOT_EXERCISED


def test_an_acknowledgement_before_an_answered_claim_breaks_lse_5(histories: dict[str, Events]):
    """LSE-5: a claim that got 503 and whose wake-up was deleted all the same."""
    spoilt = [
        one.model_copy(update={"status": 503, "attempt": None, "answer": {}}) if one.kind == "claim" else one
        for one in histories[SERVICE]
    ]
    assert any(isinstance(one, Acknowledged) for one in spoilt)
    assert "LSE-5" in {violation.clause for violation in judge(spoilt).violations}
