"""Describes each event as timeline steps: which component sent what to which other one."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from harness.checks.evidence import OUTCOMES, times
from harness.history import (
    CryoEnded,
    CryoStarted,
    CryoWrote,
    DispatcherCall,
    Event,
    FaultFired,
    FinalState,
    HarnessAction,
    LogLine,
    MessageAcknowledged,
    MessageReceived,
    RpcCall,
    ScenarioStarted,
    StoreRequest,
    StoreResponse,
    TaskCreated,
    TimedOut,
    WorkerExited,
    WorkerStarted,
)
from harness.json_utils import json_object
from harness.scenario import PAYLOAD

Mark = Literal["", "fault", "action", "end"]
LANES = {
    "queue": "Queue",
    "dispatcher": "Dispatcher",
    "worker": "Worker",
    "cryo": "Cryo",
    "rpc": "RPC node",
    "store": "Store",
}
"""The titles of the lanes, from left to right."""

MAX_OUTPUT_CHARACTERS = 160
MAX_OBJECT_STEPS = 20
"""Objects of the final state that get a step each; the others are counted in one step."""
SIGNALS = {number.value: number.name for number in signal.Signals}
"""The signals that have names: of the real-time signals only the first and the last have one."""


@dataclass(frozen=True, slots=True)
class TimelineStep:
    """Something that happened in one lane, or a message from one lane to another.

    `target` is the lane; `source` is the lane that sent the message, or None. `response` is the response to a request.
    `failed` is True for errors. `mark` is `fault` for an injected fault, `action` for an action of the harness, `end`
    for the final state. A `minor` step is rarely of interest.
    """

    event_numbers: tuple[int, ...]
    at: float
    source: str | None
    target: str
    text: str
    response: str = ""
    failed: bool = False
    mark: Mark = ""
    minor: bool = False
    events: tuple[Event, ...] = ()


def _step(event: Event, source: str | None, target: str, text: str, **fields: Any) -> list[TimelineStep]:
    return [TimelineStep((event.number,), event.at, source, target, text, **fields)]


def _status(code: int | None) -> str:
    return "no response" if code is None else str(code)


def _describe_task(event: TaskCreated) -> list[TimelineStep]:
    payload = event.payload
    complete = isinstance(payload, dict) and set(PAYLOAD) <= set(payload)
    if complete and all(isinstance(payload[name], int) for name in ("range_start", "range_end", "chain_id")):
        blocks = f"[{payload['range_start']}, {payload['range_end']}) of chain {payload['chain_id']}"
        summary = f"{payload['cryo_dataset_name']} {blocks}"
    else:
        summary = payload if isinstance(payload, str) else json.dumps(payload)
    return _step(event, None, "dispatcher", f"task {event.task} is created: {summary}")


def _describe_worker_start(event: WorkerStarted) -> list[TimelineStep]:
    task = "" if event.task is None else f" for task {event.task}"
    return _step(event, None, "worker", f"worker {event.worker} starts{task}")


def _describe_worker_exit(event: WorkerExited) -> list[TimelineStep]:
    if event.code < 0:
        how = f"is killed by {SIGNALS.get(-event.code, f'signal {-event.code}')}"
    else:
        meaning = f" ({OUTCOMES[event.code].replace('_', ' ')})" if event.code and event.code in OUTCOMES else ""
        how = f"ends with exit code {event.code}{meaning}"
    output = event.stdout.strip()
    cut = "…" if len(output) > MAX_OUTPUT_CHARACTERS else ""
    printed = f"; it printed {output[:MAX_OUTPUT_CHARACTERS]}{cut}" if output else ""
    return _step(event, None, "worker", f"worker {event.worker} {how}{printed}", failed=event.code != 0)


CONTEXT_FIELDS = {"task_id", "timestamp", "level", "attempt", "dataset", "range"}
"""Fields of a log line that are left out, because nearly every line has them."""


def _describe_log_line(event: LogLine) -> list[TimelineStep]:
    fields = json_object(event.text)
    if fields is None:
        return _step(event, None, "worker", f"log: {event.text}", minor=True)
    name = fields.pop("event", "")
    values = [f"{field}={value}" for field, value in fields.items() if field not in CONTEXT_FIELDS]
    return _step(event, None, "worker", f"log: {' '.join([str(name), *values])}", minor=True)


def _describe_cryo_start(event: CryoStarted) -> list[TimelineStep]:
    return _step(event, "worker", "cryo", f"starts Cryo: {' '.join(event.arguments)}")


def _describe_cryo_end(event: CryoEnded) -> list[TimelineStep]:
    return _step(event, None, "cryo", "Cryo has ended", minor=True)


def _describe_cryo_file(event: CryoWrote) -> list[TimelineStep]:
    return _step(event, None, "cryo", f"Cryo writes {event.name}")


def _describe_rpc_call(event: RpcCall) -> list[TimelineStep]:
    blocks = "" if event.blocks is None else f" {'-'.join(map(str, dict.fromkeys(event.blocks)))}"
    node = "" if event.node == "main" else f" of node {event.node}"
    mark: Mark = "fault" if event.fault else ""
    text = f"{event.method}{blocks}{node}"
    return _step(event, None, "rpc", text, minor=not event.fault, mark=mark, failed=event.fault)


def _describe_dispatcher_call(event: DispatcherCall) -> list[TimelineStep]:
    request, response = event.request, event.response
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
    result = _status(event.status)
    if event.kind == "claim" and event.status == HTTPStatus.OK:
        result += f" {response.get('status', 'Claimed')}"
        result += f", {response['reason']}" if "reason" in response else f", attempt {response.get('attempt')}"
    text, ok = " ".join(words).replace(" :", ":"), event.status == HTTPStatus.OK
    minor = event.kind == "heartbeat" and ok
    return _step(event, "worker", "dispatcher", text, response=result, failed=not ok, minor=minor)


def _describe_received_message(event: MessageReceived) -> list[TimelineStep]:
    return _step(event, "queue", "worker", _message(event.task_id))


def _describe_acknowledged_message(event: MessageAcknowledged) -> list[TimelineStep]:
    return _step(event, "worker", "queue", f"deletes the {_message(event.task_id)}")


def _message(task_id: str | None) -> str:
    return "message without a task id" if task_id is None else f"wake-up message for task {task_id}"


def _describe_store_request(event: StoreRequest) -> list[TimelineStep]:
    return _step(event, "worker", "store", f"{event.operation.upper()} {event.key}", response="…")


def _describe_store_response(event: StoreResponse) -> list[TimelineStep]:
    verb = {"object_listed": "LIST", "object_deleted": "DELETE"}.get(event.kind, event.operation)
    condition = " (If-None-Match: *)" if event.create_only else " (If-Match)" if event.if_match else ""
    result = _status(event.delivered_status)
    if event.status is None and event.delivered_status is not None:
        result += " (not sent to the store)"
    elif event.status != event.delivered_status:
        result += f" (the store sent: {_status(event.status)})"
    ok = event.delivered_status is not None and event.delivered_status < HTTPStatus.BAD_REQUEST
    return _step(event, "worker", "store", f"{verb} {event.key}{condition}", response=result, failed=not ok)


def _describe_fault(event: FaultFired) -> list[TimelineStep]:
    # "store 2nd PUT …" in a scenario, "store.create#2 …" in a simulation
    component = event.fault.partition(" ")[0].partition(".")[0]
    lane = {"node": "rpc"}.get(component, component if component in LANES else "dispatcher")
    return _step(event, None, lane, "", mark="fault")


ACTIONS = {
    "start-worker": "starts another worker",
    "age-staging": "makes the staging directories 100 hours older",
    "take-lease": "takes the lease away",
    "cancel": "cancels the task",
    "deny-heartbeat": "answers the next heartbeat with 403",
}
"""What the harness does, for each action of a trigger that is not a signal."""


def _describe_action(event: HarnessAction) -> list[TimelineStep]:
    if event.action.startswith("SIG"):
        text = f"sends {event.action} to worker {event.worker}"
    else:
        text = ACTIONS.get(event.action, f"carries out {event.action}")
    lane = "dispatcher" if event.action in {"take-lease", "cancel", "deny-heartbeat"} else "worker"
    return _step(event, None, lane, f"the harness {text}", mark="action")


def _describe_timeout(event: TimedOut) -> list[TimelineStep]:
    return _step(event, None, "worker", f"the harness stops waiting: {event.what}", mark="action", failed=True)


def _describe_final_state(event: FinalState) -> list[TimelineStep]:
    objects = [f"{key} ({stored.size_bytes:,} bytes)" for key, stored in sorted(event.objects.items())]
    steps = [
        step
        for text in objects[:MAX_OBJECT_STEPS] or ["no object"]
        for step in _final_step(event, "store", f"the store contains {text}")
    ]
    if len(objects) > MAX_OBJECT_STEPS:
        steps += _final_step(event, "store", f"the store contains {len(objects) - MAX_OBJECT_STEPS} more objects")
    files = ", ".join(entry.path for entry in event.staged)
    text = f"the staging root contains {files}" if files else "the staging root is empty"
    steps += _final_step(event, "worker", text, failed=bool(files))
    if event.survivors:
        steps += _final_step(event, "cryo", f"these processes still run: {', '.join(event.survivors)}", failed=True)
    for version, count in sorted(event.registered.items()):
        steps += _final_step(event, "dispatcher", f"version {version} is registered {times(count)}", failed=count != 1)
    for (clause, detail), count in Counter(event.rejected_requests).items():
        repeated = f" ({times(count)})" if count > 1 else ""
        text = f"the dispatcher rejected a request because of {clause}: {detail}{repeated}"
        steps += _final_step(event, "dispatcher", text, failed=True)
    for fault in event.unfired_faults:
        steps += _final_step(event, "worker", f"this fault never fired: {fault}", failed=True)
    return steps


def _final_step(event: FinalState, lane: str, text: str, *, failed: bool = False) -> list[TimelineStep]:
    return _step(event, None, lane, f"final state: {text}", mark="end", failed=failed)


DESCRIBERS: dict[type[Event], Callable[..., list[TimelineStep]]] = {
    TaskCreated: _describe_task,
    WorkerStarted: _describe_worker_start,
    WorkerExited: _describe_worker_exit,
    LogLine: _describe_log_line,
    CryoStarted: _describe_cryo_start,
    CryoEnded: _describe_cryo_end,
    CryoWrote: _describe_cryo_file,
    RpcCall: _describe_rpc_call,
    DispatcherCall: _describe_dispatcher_call,
    MessageReceived: _describe_received_message,
    MessageAcknowledged: _describe_acknowledged_message,
    StoreRequest: _describe_store_request,
    StoreResponse: _describe_store_response,
    FaultFired: _describe_fault,
    HarnessAction: _describe_action,
    TimedOut: _describe_timeout,
    FinalState: _describe_final_state,
}


def describe_event(event: Event) -> list[TimelineStep]:
    """Return the steps that describe one event; `ScenarioStarted` has none."""
    return [] if isinstance(event, ScenarioStarted) else DESCRIBERS[type(event)](event)
