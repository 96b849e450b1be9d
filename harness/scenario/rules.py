"""What a scenario may not say though each of its fields could be so: what there is not, and what could never happen.

A scenario that breaks a rule would end as an error of the harness, or pass without what it is about.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields

from harness.contract import chunks
from harness.faults.store import DEFECTS
from harness.history import KINDS
from harness.resources import clause_ids
from harness.scenario.messages import Problem, unknown
from harness.scenario.model import PAYLOAD, Platform, Scenario, TaskLine
from harness.scenario.payloads import extractable, json_problem, whole
from harness.schemas import SchemaMismatch, check, schema
from harness.world.catalogue import by_range_alone
from harness.world.quirks import Quirks

FILLED_IN = ("pool_url", "pool_address", "dead_url", "other_chain_url", "staging", "canary")
SIZES = ("largest_bytes", "total_bytes", "under_largest_bytes", "under_total_bytes")
"""They are of the first task's files, so that the scenario's own environment alone has them."""
ENDS = {"scenario_started", "final_state"}
"""Events before the first and after the last thing that a scenario can do or wait for."""
UNTIL = ("ended", "settled", "quiet")


def problems(scenario: Scenario) -> list[Problem]:
    """Return all that is wrong with a scenario whose fields are each as they may be."""
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
        if service and line.environment != scenario.tasks[0].environment:
            yield Problem(("tasks", at, "environment"), "in a service the environment stands with the first task")


def _fields(line: TaskLine) -> Iterator[Problem]:
    named = [("set", name) for name in line.set] + [("drop", name) for name in line.drop]
    for table, name in named:
        if name not in PAYLOAD:
            place = (table, name) if table == "set" else (table,)
            message = f"{unknown('field of a payload called', name, PAYLOAD)} (one on purpose stands in `add`)"
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
        return "is nested too deeply to be kept in a history"
    except ValueError:
        return "a dispatcher hands out JSON alone: `delivery` must be run for any other text" if service else None
    if problem := json_problem(value):
        return problem
    wrong = extractable(line, value if isinstance(value, dict) else {})
    return f"{'.'.join(wrong[0])}: {wrong[1]}" if wrong else None


def _environment(scenario: Scenario) -> Iterator[Problem]:
    for variable, value in scenario.environment.items():
        yield from _placeholders(("environment", variable), value, (*FILLED_IN, *SIZES))
        if any(f"{{{size}}}" in value for size in SIZES) and not whole(scenario.tasks[0].payload()):
            message = "its sizes are those of the first task's files, and its payload is not one that has any"
            yield Problem(("environment", variable), message)
    for at, line in enumerate(scenario.tasks):
        for variable, value in line.environment.items():
            yield from _placeholders(("tasks", at, "environment", variable), value, FILLED_IN)


def _platform(scenario: Scenario) -> Iterator[Problem]:
    if scenario.delivery == "run":
        without = "without a dispatcher: it comes with delivery = 'worker'"
        if scenario.platform != Platform():
            yield Problem(("platform",), f"means nothing {without}")
        for at, _ in enumerate(scenario.dispatcher_faults):
            yield Problem(("dispatcher_faults", at), f"never applies {without}")
        for at, trigger in enumerate(scenario.triggers):
            if trigger.do in {"take-lease", "cancel", "deny-heartbeat"}:
                yield Problem(("triggers", at, "do"), f"{trigger.do} can't be done {without}")
    elif scenario.store == "directory":
        yield Problem(("store",), "a service is not told of a directory: it needs store = 's3'")
    kind = scenario.platform.until.partition(" ")[0]
    if kind not in UNTIL and kind not in KINDS - ENDS:
        yield Problem(("platform", "until"), unknown("event", kind, {*UNTIL, *KINDS} - ENDS))


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
    told = scenario.mode == "real" and scenario.cryo == "fake-cryo" and scenario.node.kind == "fake"
    if not told:
        yield Problem(("cryo_faults",), "only fake-cryo on a fake node, in mode real, is told what to do wrong")
    lengths = [len(_chunks(line)) for line in scenario.tasks if whole(line.payload())]
    names = schema("harness_script")["properties"]["faults"]["items"]["properties"]["do"]["enum"]
    for at, fault in enumerate(scenario.cryo_faults):
        if (name := fault.get("do")) not in names:
            message = unknown("fault", str(name), names) if name else "`do` names the fault"
            yield Problem(("cryo_faults", at, "do"), f"{message}; see harness/fakes/cryo/faults.py")
            continue
        try:
            json.dumps(fault, allow_nan=False)
            check("harness_script", {"faults": [fault]})
        except (SchemaMismatch, TypeError, ValueError, RecursionError) as error:
            said = str(error).removeprefix("harness_script: ").replace("faults[0].", "").replace("faults[0]: ", "")
            yield Problem(("cryo_faults", at), f"{said}; see harness/fakes/cryo/faults.py")
            continue
        if lengths and fault.get("chunk", 0) >= max(lengths):
            yield Problem(("cryo_faults", at, "chunk"), f"there are {max(lengths)} chunks, counted from 0")
        if lengths and fault.get("after_chunks", 0) > max(lengths):
            yield Problem(("cryo_faults", at, "after_chunks"), f"there are {max(lengths)} chunks")


def _chunks(line: TaskLine) -> list[range]:
    payload = line.payload()
    return chunks(payload["range_start"], payload["range_end"])


def _store(scenario: Scenario) -> Iterator[Problem]:
    if scenario.store == "directory":
        for at, _ in enumerate(scenario.store_faults):
            yield Problem(("store_faults", at), "never applies: a directory has no proxy before it")
    for at, fault in enumerate(scenario.store_faults):
        takes = ("put", "get", "any") if fault.do == "refuse-quoted-etags" else ("put",)
        if fault.do in DEFECTS and fault.operation not in takes:
            message = f"{fault.do} never applies to {fault.operation}: write {' or '.join(takes)}"
            yield Problem(("store_faults", at, "operation"), message)


def _preloaded_objects(scenario: Scenario) -> Iterator[Problem]:
    if scenario.preloaded_objects and not whole(scenario.tasks[0].payload()):
        yield Problem(
            ("preloaded_objects",), "stands below the first task's prefix, and its payload is not one that has any"
        )
        return
    for at, held in enumerate(scenario.preloaded_objects):
        yield from _placeholders(("preloaded_objects", at, "key"), held.key, ("prefix", "chunk"))
        having = len(_chunks(scenario.tasks[0]))
        if held.chunk >= having:
            yield Problem(("preloaded_objects", at, "chunk"), f"the first task has {having} chunks, counted from 0")
        if held.dataset is not None and held.dataset not in by_range_alone():
            yield Problem(("preloaded_objects", at, "dataset"), unknown("dataset", held.dataset, by_range_alone()))
        dataset = held.dataset or scenario.tasks[0].payload()["cryo_dataset_name"]
        if held.content == "other-rows" and dataset != "blocks":
            yield Problem(
                ("preloaded_objects", at, "content"), "other-rows are other blocks: the first task's dataset is another"
            )


def _preloaded_files(scenario: Scenario) -> Iterator[Problem]:
    for at, planted in enumerate(scenario.preloaded_files):
        yield from _placeholders(("preloaded_files", at, "path"), planted.path, ("task",))
        for before in scenario.preloaded_files[:at]:
            if f"{before.path}/".startswith(f"{planted.path}/"):
                yield Problem(("preloaded_files", at, "path"), f"must stand before {before.path}, and only once")
            elif planted.path.startswith(f"{before.path}/") and before.type != "directory":
                yield Problem(
                    ("preloaded_files", at, "path"), f"can't lie below {before.path}, which is a {before.type}"
                )


def _placeholders(place: tuple[int | str, ...], text: str, known: tuple[str, ...]) -> Iterator[Problem]:
    for name in re.findall(r"\{([A-Za-z_]+)\}", text):
        if name not in known:
            yield Problem(place, unknown("placeholder", f"{{{name}}}", [f"{{{one}}}" for one in known]))


def _triggers(scenario: Scenario) -> Iterator[Problem]:
    more = sum(trigger.times or 0 for trigger in scenario.triggers if trigger.do == "start-worker")
    workers = scenario.platform.workers + more if scenario.delivery == "worker" else len(scenario.tasks)
    if scenario.delivery == "run" and more >= len(scenario.tasks):
        message = f"start-worker starts the task after: {more} of them need {more + 1} tasks"
        yield Problem(("triggers",), message)
    for at, trigger in enumerate(scenario.triggers):
        if trigger.event not in KINDS - ENDS:
            yield Problem(("triggers", at, "event"), unknown("event", trigger.event, KINDS - ENDS))
        if trigger.do == "start-worker" and trigger.times is None:
            yield Problem(("triggers", at, "times"), "start-worker needs `times`: how many workers it starts")
        if trigger.worker >= workers:
            yield Problem(("triggers", at, "worker"), f"there are {workers} workers, counted from 0")
