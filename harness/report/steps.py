"""One event as one step, in plain words: who said what to whom."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from harness.checks.evidence import OUTCOMES
from harness.history import (
    Acknowledged,
    Acted,
    Begun,
    CryoEnded,
    CryoStarted,
    CryoWrote,
    DispatcherCall,
    Event,
    Exit,
    FaultFired,
    Final,
    LogLine,
    Received,
    RpcCall,
    StoreAnswered,
    StoreAsked,
    TaskEntered,
    TimedOut,
    WorkerStarted,
)
from harness.json_utils import json_object
from harness.scenario import PAYLOAD

LANES = {
    "queue": "Queue",
    "dispatcher": "Dispatcher",
    "worker": "Worker",
    "cryo": "Cryo",
    "rpc": "RPC node",
    "store": "Store",
}
"""From left to right."""

PRINTED = 160
HELD = 20
"""So many objects of the final state are told one by one."""
SIGNALS = {one.value: one.name for one in signal.Signals}
"""Those that have names: real-time signals but the first and the last have none."""


@dataclass(frozen=True, slots=True)
class Step:
    """What happened: from one lane to another, or at one (`origin` None); `answer` is what came back.

    `mark` is `fault` for what the harness injected, `act` for what it did, `end` for the final state. A `quiet` step is
    seldom what one looks for.
    """

    numbers: tuple[int, ...]
    at: float
    origin: str | None
    goal: str
    text: str
    answer: str = ""
    bad: bool = False
    mark: str = ""
    quiet: bool = False
    events: tuple[Event, ...] = ()


def _one(event: Event, origin: str | None, goal: str, text: str, **more: Any) -> list[Step]:
    return [Step((event.number,), event.at, origin, goal, text, **more)]


def _status(code: int | None) -> str:
    return "no answer" if code is None else str(code)


def _task(event: TaskEntered) -> list[Step]:
    payload = event.payload
    whole = isinstance(payload, dict) and set(PAYLOAD) <= set(payload)
    if whole and all(isinstance(payload[name], int) for name in ("range_start", "range_end", "chain_id")):
        about = f"[{payload['range_start']}, {payload['range_end']}) of chain {payload['chain_id']}"
        said = f"{payload['cryo_dataset_name']} {about}"
    else:
        said = payload if isinstance(payload, str) else json.dumps(payload)
    return _one(event, None, "dispatcher", f"task {event.task} is there: {said}")


def _worker_started(event: WorkerStarted) -> list[Step]:
    about = "" if event.task is None else f" for task {event.task}"
    return _one(event, None, "worker", f"worker {event.worker} starts{about}")


def _exit(event: Exit) -> list[Step]:
    if event.code < 0:
        how = f"is ended by {SIGNALS.get(-event.code, f'signal {-event.code}')}"
    else:
        meaning = f" ({OUTCOMES[event.code].replace('_', ' ')})" if event.code and event.code in OUTCOMES else ""
        how = f"ends with exit code {event.code}{meaning}"
    printed = event.stdout.strip()
    said = f"; it printed {printed[:PRINTED]}{'…' * (len(printed) > PRINTED)}" if printed else ""
    return _one(event, None, "worker", f"worker {event.worker} {how}{said}", bad=event.code != 0)


DULL = {"task_id", "timestamp", "level", "attempt", "dataset", "range"}
"""Fields of a log line that say nothing new beside the others."""


def _log_line(event: LogLine) -> list[Step]:
    fields = json_object(event.text)
    if fields is None:
        return _one(event, None, "worker", f"log: {event.text}", quiet=True)
    first = fields.pop("event", "")
    rest = [f"{name}={value}" for name, value in fields.items() if name not in DULL]
    return _one(event, None, "worker", f"log: {' '.join([str(first), *rest])}", quiet=True)


def _cryo_started(event: CryoStarted) -> list[Step]:
    return _one(event, "worker", "cryo", f"starts Cryo: {' '.join(event.arguments)}")


def _cryo_ended(event: CryoEnded) -> list[Step]:
    return _one(event, None, "cryo", "Cryo has ended", quiet=True)


def _cryo_wrote(event: CryoWrote) -> list[Step]:
    return _one(event, None, "cryo", f"writes {event.name}")


def _rpc_call(event: RpcCall) -> list[Step]:
    blocks = "" if event.blocks is None else f" {'-'.join(map(str, dict.fromkeys(event.blocks)))}"
    node = "" if event.node == "main" else f" of node {event.node}"
    more = {"mark": "fault", "bad": True} if event.fault else {}
    return _one(event, None, "rpc", f"{event.method}{blocks}{node}", quiet=not event.fault, **more)


def _dispatcher(event: DispatcherCall) -> list[Step]:
    request, answer = event.request, event.answer
    words = [event.kind.replace("_", " ")]
    if event.attempt is not None and event.kind != "claim":
        words.append(f"attempt {event.attempt}")
    if event.kind == "complete":
        words.append(f"as {request.get('outcome') or request.get('status')}")
        published = request.get("datasets_published") or []
        published = published if isinstance(published, list) else [published]
        words.append(f"with {len(published)} publication{'s' * (len(published) != 1)}")
        if request.get("error_message"):
            words.append(f": {request['error_message']}")
    told = _status(event.status)
    if event.kind == "claim" and event.status == HTTPStatus.OK:
        told += f" {answer.get('status', 'Claimed')}"
        told += f", {answer['reason']}" if "reason" in answer else f", attempt {answer.get('attempt')}"
    text, good = " ".join(words).replace(" :", ":"), event.status == HTTPStatus.OK
    quiet = event.kind == "heartbeat" and good
    return _one(event, "worker", "dispatcher", text, answer=told, bad=not good, quiet=quiet)


def _received(event: Received) -> list[Step]:
    return _one(event, "queue", "worker", f"wake-up of {event.task_id or 'no task'}")


def _acknowledged(event: Acknowledged) -> list[Step]:
    return _one(event, "worker", "queue", f"deletes the wake-up of {event.task_id or 'no task'}")


def _asked(event: StoreAsked) -> list[Step]:
    return _one(event, "worker", "store", f"{event.operation.upper()} {event.key}", answer="…")


def _answered(event: StoreAnswered) -> list[Step]:
    verb = {"object_listed": "LIST", "object_deleted": "DELETE"}.get(event.kind, event.operation)
    conditions = " if there is none" if event.create_only else " if unchanged" if event.if_match else ""
    told = _status(event.answered)
    if event.status != event.answered:
        told += f" (the store itself: {_status(event.status).replace('no answer', 'not asked')})"
    ok = event.answered is not None and event.answered < HTTPStatus.BAD_REQUEST
    return _one(event, "worker", "store", f"{verb} {event.key}{conditions}", answer=told, bad=not ok)


def _fault_fired(event: FaultFired) -> list[Step]:
    goal = {"rpc": "rpc", "store": "store"}.get(event.fault.partition(" ")[0], "dispatcher")
    return _one(event, None, goal, "", mark="fault")


def _acted(event: Acted) -> list[Step]:
    if event.action.startswith("SIG") or event.action == "start-worker":
        return _one(event, None, "worker", f"the harness: {event.action} to worker {event.worker}", mark="do")
    goal = "worker" if event.action == "age-staging" else "dispatcher"
    return _one(event, None, goal, f"the harness: {event.action}", mark="do")


def _timed_out(event: TimedOut) -> list[Step]:
    return _one(event, None, "worker", f"the harness gives up waiting: {event.what}", mark="do", bad=True)


def _final(event: Final) -> list[Step]:
    held = [f"{key} ({one.size_bytes:,} bytes)" for key, one in sorted(event.objects.items())]
    found = [step for one in held[:HELD] or ["nothing"] for step in _end(event, "store", f"in the store: {one}")]
    if len(held) > HELD:
        found += _end(event, "store", f"in the store: {len(held) - HELD} more")
    files = [entry.path for entry in event.staged]
    found += _end(event, "worker", f"left in staging: {', '.join(files) or 'nothing'}", bad=bool(files))
    if event.survivors:
        found += _end(event, "cryo", f"still running: {', '.join(event.survivors)}", bad=True)
    for version, times in sorted(event.registered.items()):
        often = "once" if times == 1 else f"{times} times"
        found += _end(event, "dispatcher", f"version {version} is registered {often}", bad=times != 1)
    for (clause, detail), times in Counter(event.refused).items():
        often = f" ({times} times)" if times > 1 else ""
        found += _end(event, "dispatcher", f"the dispatcher had refused, by {clause}: {detail}{often}", bad=True)
    for fault in event.unfired_faults:
        found += _end(event, "worker", f"never came about: {fault}", bad=True)
    return found


def _end(event: Final, goal: str, text: str, *, bad: bool = False) -> list[Step]:
    return _one(event, None, goal, f"at the end, {text}", mark="end", bad=bad)


TELL: dict[type[Event], Callable[..., list[Step]]] = {
    TaskEntered: _task, WorkerStarted: _worker_started, Exit: _exit, LogLine: _log_line,
    CryoStarted: _cryo_started, CryoEnded: _cryo_ended, CryoWrote: _cryo_wrote, RpcCall: _rpc_call,
    DispatcherCall: _dispatcher, Received: _received, Acknowledged: _acknowledged,
    StoreAsked: _asked, StoreAnswered: _answered,
    FaultFired: _fault_fired, Acted: _acted, TimedOut: _timed_out, Final: _final,
}  # fmt: skip


def steps_of(event: Event) -> list[Step]:
    """Return the steps that describe one event; the first of a history has none."""
    return [] if isinstance(event, Begun) else TELL[type(event)](event)
