"""Rules for a scenario whose fields are valid one by one: names must exist, and what it describes must be possible.

Without these rules a bad scenario would end with an error of the harness, or pass without testing anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import lru_cache

from harness.contract import chunks
from harness.faults.store import DEFECTS
from harness.history import KINDS
from harness.resources import clause_ids
from harness.scenario.expectations import STATE_MESSAGES, STATE_WHETHER_CRYO_RUNS
from harness.scenario.messages import Problem, unknown
from harness.scenario.model import PAYLOAD, Platform, Scenario, TaskLine
from harness.scenario.payloads import extractable, json_problem, names_files
from harness.schemas import SchemaMismatch, check, schema
from harness.world.catalogue import by_range_alone
from harness.world.quirks import Quirks

PLACEHOLDERS = ("pool_url", "pool_address", "dead_url", "other_chain_url", "second_url", "staging", "canary")
SIZES = ("largest_bytes", "total_bytes", "under_largest_bytes", "under_total_bytes")
"""Sizes of the first task's files; only the scenario's environment may use them."""
OUTER_EVENTS = {"scenario_started", "final_state"}
"""Events that a scenario can't wait for: the first and the last one of a history."""
UNTIL = ("ended", "tasks-ended", "quiet")


def problems(scenario: Scenario) -> list[Problem]:
    """Return the problems of a scenario whose fields are valid one by one."""
    rules = (
        _clauses,
        _tasks,
        _environment,
        _platform,
        _node,
        _cryo_faults,
        _store,
        _preloaded_objects,
        _preloaded_files,
        _triggers,
    )
    return [problem for rule in rules for problem in rule(scenario)]


def _clauses(scenario: Scenario) -> Iterator[Problem]:
    if missing := [clause for clause in scenario.clauses if clause not in clause_ids()]:
        yield Problem(("clauses",), f"the contract has no clause {', '.join(missing)}")


def _tasks(scenario: Scenario) -> Iterator[Problem]:
    service = scenario.delivery == "worker"
    for at, line in enumerate(scenario.tasks):
        for place, message in (*_fields(line), *_payload(line, service=service)):
            yield Problem(("tasks", at, *place), message)
        for key, message in _without_basis(line, scenario.clauses):
            yield Problem(("tasks", at, key), message)
        if service and line.environment != scenario.tasks[0].environment:
            yield Problem(("tasks", at, "environment"), "in a service the environment belongs to the first task")


def _without_basis(line: TaskLine, clauses: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield the expectations that rest on no clause of the scenario: no verdict could ever depend on them."""
    states = {"message_contains": STATE_MESSAGES, "cryo": STATE_WHETHER_CRYO_RUNS, "runs": STATE_WHETHER_CRYO_RUNS}
    for key, stating in states.items():
        if getattr(line, key) not in {None, ()} and stating.isdisjoint(clauses):
            possible = ", ".join(clause for clause in clause_ids() if clause in stating)
            yield key, f"rests on no clause of the scenario: add one of {possible} to `clauses`, or remove it"


def _fields(line: TaskLine) -> Iterator[Problem]:
    named = [("set", name) for name in line.set] + [("drop", name) for name in line.drop]
    for table, name in named:
        if name not in PAYLOAD:
            place = (table, name) if table == "set" else (table,)
            message = f"{unknown('field of a payload called', name, PAYLOAD)} (write an unknown field in `add`)"
            yield Problem(place, message)
    for name in line.add:
        if name in PAYLOAD:
            yield Problem(("add", name), "is a field of every payload: write it in `set`")


def _payload(line: TaskLine, *, service: bool) -> Iterator[Problem]:
    if line.raw is not None:
        if problem := _raw_problem(line, line.raw, service=service):
            yield Problem(("raw",), problem)
        return
    if problem := json_problem(line.payload()):
        yield Problem(("set",), problem)
    if wrong := extractable(line, line.payload()):
        yield Problem(*wrong)


def _raw_problem(line: TaskLine, raw: str, *, service: bool) -> str | None:
    try:
        value = json.loads(raw)
    except RecursionError:
        return "is nested too deeply for a history"
    except ValueError:
        return "a dispatcher only sends JSON: other text needs delivery = 'run'" if service else None
    if problem := json_problem(value):
        return problem
    wrong = extractable(line, value if isinstance(value, dict) else {})
    return f"{'.'.join(wrong[0])}: {wrong[1]}" if wrong else None


def _environment(scenario: Scenario) -> Iterator[Problem]:
    for variable, value in scenario.environment.items():
        yield from _placeholders(("environment", variable), value, (*PLACEHOLDERS, *SIZES))
        if any(f"{{{size}}}" in value for size in SIZES) and not names_files(scenario.tasks[0].payload()):
            message = "uses sizes of the first task's files, but that payload determines no files"
            yield Problem(("environment", variable), message)
    for at, line in enumerate(scenario.tasks):
        for variable, value in line.environment.items():
            yield from _placeholders(("tasks", at, "environment", variable), value, PLACEHOLDERS)


def _platform(scenario: Scenario) -> Iterator[Problem]:
    if scenario.delivery == "run":
        without = "without a dispatcher, which needs delivery = 'worker'"
        if scenario.platform != Platform():
            yield Problem(("platform",), f"has no effect {without}")
        for at, _ in enumerate(scenario.dispatcher_faults):
            yield Problem(("dispatcher_faults", at), f"never applies {without}")
        for at, trigger in enumerate(scenario.triggers):
            if trigger.do in {"take-lease", "cancel", "deny-heartbeat"}:
                yield Problem(("triggers", at, "do"), f"{trigger.do} is impossible {without}")
    elif scenario.store == "directory":
        yield Problem(("store",), "a service can't publish to a directory: write store = 's3'")
    kind = scenario.platform.until.partition(" ")[0]
    if kind not in UNTIL and kind not in KINDS - OUTER_EVENTS:
        yield Problem(("platform", "until"), unknown("event", kind, {*UNTIL, *KINDS} - OUTER_EVENTS))


def _node(scenario: Scenario) -> Iterator[Problem]:
    known = [quirk.name for quirk in fields(Quirks)]
    for name in scenario.node.quirks:
        if name not in known:
            yield Problem(("node", "quirks", name), unknown("quirk", name, known))
    if scenario.node.kind == "anvil":
        for at, _ in enumerate(scenario.rpc_faults):
            yield Problem(("rpc_faults", at), "never applies: only the fake node has faults")


def _cryo_faults(scenario: Scenario) -> Iterator[Problem]:
    if not scenario.cryo_faults:
        return
    has_script = scenario.mode == "real" and scenario.cryo == "fake-cryo" and scenario.node.kind == "fake"
    if not has_script:
        yield Problem(("cryo_faults",), "only fake-cryo on a fake node in real mode has faults")
    lengths = [len(_chunks(line)) for line in scenario.tasks if names_files(line.payload())]
    names = schema("harness_script")["properties"]["faults"]["items"]["properties"]["do"]["enum"]
    for at, fault in enumerate(scenario.cryo_faults):
        if (name := fault.get("do")) not in names:
            message = unknown("fault", str(name), names) if name else "`do` names the fault"
            yield Problem(("cryo_faults", at, "do"), f"{message}; see harness/fakes/cryo/faults.py")
            continue
        try:
            _check_script(json.dumps(fault, allow_nan=False))
        except (SchemaMismatch, TypeError, ValueError, RecursionError) as error:
            reason = str(error).removeprefix("harness_script: ").replace("faults[0].", "").replace("faults[0]: ", "")
            yield Problem(("cryo_faults", at), f"{reason}; see harness/fakes/cryo/faults.py")
            continue
        if lengths and fault.get("chunk", 0) >= max(lengths):
            yield Problem(("cryo_faults", at, "chunk"), f"there are {max(lengths)} chunks, counted from 0")
        if lengths and fault.get("after_chunks", 0) > max(lengths):
            yield Problem(("cryo_faults", at, "after_chunks"), f"there are {max(lengths)} chunks")


@lru_cache(maxsize=256)
def _check_script(fault: str) -> None:
    """Check a fault, as JSON, against the schema of fake Cryo's script; generated scenarios have few different ones.

    Raises:
        SchemaMismatch: it does not fit.
    """
    check("harness_script", {"faults": [json.loads(fault)]})


def _chunks(line: TaskLine) -> list[range]:
    payload = line.payload()
    return chunks(payload["range_start"], payload["range_end"])


def _store(scenario: Scenario) -> Iterator[Problem]:
    if scenario.store == "directory":
        for at, _ in enumerate(scenario.store_faults):
            yield Problem(("store_faults", at), "never applies: a directory has no proxy")
    for at, fault in enumerate(scenario.store_faults):
        operations = ("put", "get", "any") if fault.do == "refuse-quoted-etags" else ("put",)
        if fault.do in DEFECTS and fault.operation not in operations:
            message = f"{fault.do} never applies to {fault.operation}: write {' or '.join(operations)}"
            yield Problem(("store_faults", at, "operation"), message)


def _preloaded_objects(scenario: Scenario) -> Iterator[Problem]:
    if scenario.preloaded_objects and not names_files(scenario.tasks[0].payload()):
        yield Problem(("preloaded_objects",), "are below the first task's prefix, but that payload has no prefix")
        return
    for at, preloaded in enumerate(scenario.preloaded_objects):
        yield from _placeholders(("preloaded_objects", at, "key"), preloaded.key, ("prefix", "chunk"))
        count = len(_chunks(scenario.tasks[0]))
        if preloaded.chunk >= count:
            yield Problem(("preloaded_objects", at, "chunk"), f"the first task has {count} chunks, counted from 0")
        if preloaded.dataset is not None and preloaded.dataset not in by_range_alone():
            yield Problem(("preloaded_objects", at, "dataset"), unknown("dataset", preloaded.dataset, by_range_alone()))
        dataset = preloaded.dataset or scenario.tasks[0].payload()["cryo_dataset_name"]
        if preloaded.content == "other-rows" and dataset != "blocks":
            yield Problem(("preloaded_objects", at, "content"), "other-rows needs the dataset blocks")


def _preloaded_files(scenario: Scenario) -> Iterator[Problem]:
    for at, preloaded in enumerate(scenario.preloaded_files):
        yield from _placeholders(("preloaded_files", at, "path"), preloaded.path, ("task",))
        for before in scenario.preloaded_files[:at]:
            if f"{before.path}/".startswith(f"{preloaded.path}/"):
                yield Problem(("preloaded_files", at, "path"), f"must be listed before {before.path}, and only once")
            elif preloaded.path.startswith(f"{before.path}/") and before.type != "directory":
                yield Problem(
                    ("preloaded_files", at, "path"), f"can't be below {before.path}, which is a {before.type}"
                )


def _placeholders(place: tuple[int | str, ...], text: str, known: tuple[str, ...]) -> Iterator[Problem]:
    for name in re.findall(r"\{([A-Za-z_]+)\}", text):
        if name not in known:
            yield Problem(place, unknown("placeholder", f"{{{name}}}", [f"{{{placeholder}}}" for placeholder in known]))


def _triggers(scenario: Scenario) -> Iterator[Problem]:
    more = sum(trigger.times or 0 for trigger in scenario.triggers if trigger.do == "start-worker")
    workers = scenario.platform.workers + more if scenario.delivery == "worker" else len(scenario.tasks)
    if scenario.delivery == "run" and more >= len(scenario.tasks):
        message = f"start-worker starts the next task: {more} of them need {more + 1} tasks"
        yield Problem(("triggers",), message)
    for at, trigger in enumerate(scenario.triggers):
        if trigger.event not in KINDS - OUTER_EVENTS:
            yield Problem(("triggers", at, "event"), unknown("event", trigger.event, KINDS - OUTER_EVENTS))
        if trigger.do == "start-worker" and trigger.times is None:
            yield Problem(("triggers", at, "times"), "start-worker needs `times`: how many workers it starts")
        if trigger.event == "harness_action" and trigger.times is None:
            yield Problem(("triggers", at, "times"), "a trigger on harness_action needs `times`: it fires itself")
        if trigger.worker >= workers:
            yield Problem(("triggers", at, "worker"), f"there are {workers} workers, counted from 0")
