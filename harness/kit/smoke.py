"""`cryo-harness smoke`: in seconds, whether a worker is wired up rightly, and in words what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated

import typer

from harness import targets
from harness.history import CryoStarted, DispatcherCall, Event, Exit, StoreAnswered, begun, of
from harness.kit.commands import FAILED, told
from harness.report.names import printable
from harness.runner.run import run
from harness.scenario import PAYLOAD, Scenario, TaskLine
from harness.stores.backends import Backends
from harness.stores.moto import moto_server
from harness.targets import Target
from harness.targets.fit import fitted
from harness.targets.image import containers_ended

PATIENCE_SECONDS = 15.0
LAST_LINES = 8
LONGEST_LINE = 300
OK, BROKEN = 200, 400


@dataclass(frozen=True, slots=True)
class SmokeStep:
    """Something that a worker has to do: how it is seen, and the variables by which it knows where to."""

    what: str
    seen: Callable[[list[Event]], bool]
    variables: tuple[str, ...]
    refused: Callable[[list[Event]], str] = lambda _: ""


def _has(kind: str, **fields: object) -> Callable[[list[Event]], bool]:
    def seen(events: list[Event]) -> bool:
        return any(
            event.kind == kind and all(getattr(event, name) == value for name, value in fields.items())
            for event in events
        )

    return seen


def _put(suffix: str) -> Callable[[list[Event]], bool]:
    def seen(events: list[Event]) -> bool:
        puts = [event for event in of(events, StoreAnswered) if event.kind == "object_put"]
        return any(event.key.endswith(suffix) and event.status is not None and event.status < BROKEN for event in puts)

    return seen


def _statuses(*kinds: str) -> Callable[[list[Event]], str]:
    def told(events: list[Event]) -> str:
        answers = {f"{event.kind.replace('_', ' ')} was answered {event.status}" for event in events
                   if isinstance(event, DispatcherCall | StoreAnswered) and event.kind in kinds
                   and event.status != OK}  # fmt: skip
        return "; ".join(sorted(answers))

    return told


def _staged_there(events: list[Event]) -> bool:
    root = begun(events).staging_root
    return any(event.directory.startswith(root) for event in of(events, CryoStarted))


def _published(events: list[Event]) -> bool:
    return any(event.code == 0 and event.stdout.strip().startswith("{") for event in of(events, Exit))


S3 = ("S3_ENDPOINT", "S3_BUCKET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
SERVICE = (
    SmokeStep("SQS ReceiveMessage", _has("received"), ("TASK_WAKEUP_QUEUE", "SQS_ENDPOINT")),
    SmokeStep(
        "claim (POST /internal/task-claim)",
        _has("claim", status=OK),
        ("DISPATCHER_URL", "TRACE_WORKER_TOKEN"),
        _statuses("claim", "unknown_request"),
    ),
)
WORK = (
    SmokeStep("eth_chainId", _has("rpc_call", method="eth_chainId"), ("TRACE_CRYO_MODE", "TRACE_RPC_POOL_LOCAL_URL")),
    SmokeStep("start of Cryo", _has("cryo_started"), ("TRACE_CRYO_BIN",)),
    SmokeStep("staging directory below the staging root", _staged_there, ("TRACE_CRYO_STAGING_ROOT",)),
    SmokeStep("PUT of a Parquet file", _put(".parquet"), S3, _statuses("object_put", "store_other", "object_listed")),
    SmokeStep(
        "PUT of _manifest.json", _put("_manifest.json"), S3, _statuses("object_put", "store_other", "object_listed")
    ),
)
COMMAND_ENDS = (SmokeStep("publication, as one JSON line on standard output, with exit code 0", _published, ()),)
SERVICE_ENDS = (
    SmokeStep(
        "complete (POST /v1/task/complete)",
        _has("complete", status=OK),
        ("DISPATCHER_URL",),
        _statuses("complete", "unknown_request"),
    ),
    SmokeStep("SQS DeleteMessage", _has("acknowledged"), ("TASK_WAKEUP_QUEUE", "SQS_ENDPOINT")),
)


def scenario_of(delivery: str) -> Scenario:
    """Return the one small task that is tried."""
    line = TaskLine(set={"range_end": PAYLOAD["range_start"] + 20})
    return Scenario.model_validate(
        {
            "name": f"smoke-{delivery}",
            "title": "one small task",
            "clauses": ("PUB-1",),
            "delivery": delivery,
            "patience_seconds": PATIENCE_SECONDS,
            "tasks": (line.model_dump(),),
        }
    )


def diagnose(events: list[Event], target: Target, delivery: str) -> list[str]:
    """Return what is wrong, in words; nothing where all came about."""
    steps = (*SERVICE, *WORK, *SERVICE_ENDS) if delivery == "worker" else (*WORK, *COMMAND_ENDS)
    unseen = [step for step in steps if not step.seen(events)]
    if not unseen:
        return []
    missing, *later = unseen
    said = [f"what never came: {missing.what}"]
    if refused := missing.refused(events):
        said.append(f"but {refused}")
    if missing.variables:
        names = ", ".join(map(target.name_of, missing.variables))
        said.append(f"it is found by {names}: was a variable not read, or is it called otherwise?")
    said += [f"nor came: {step.what}{_by(step, target)}" for step in later]
    if len(unseen) == len(steps):
        said.append("nothing of the world was ever asked for anything")
    return [*said, *_how_it_ended(events)]


def _by(step: SmokeStep, target: Target) -> str:
    return f" ({', '.join(map(target.name_of, step.variables))})" if step.variables else ""


def _how_it_ended(events: list[Event]) -> list[str]:
    given_up = any(event.kind == "timed_out" for event in events)
    stopped = f"; it did nothing more within {PATIENCE_SECONDS:.0f} s and was stopped" if given_up else ""
    said = []
    for event in events:
        if event.kind == "exit":
            how = f"exit code {event.code}" if event.code >= 0 else f"ended by signal {-event.code}"
            said.append(f"the worker: {how}{stopped}")
    lines = [event.text for event in events if event.kind == "log_line"]
    lines += [line for event in events if event.kind == "exit" for line in event.stdout.splitlines()[-LAST_LINES:]]
    said.append("its last lines:" if lines else "it wrote nothing")
    return [*said, *(f"  {line[:LONGEST_LINE]}" for line in lines[-LAST_LINES:])]


def deliveries(target: Target) -> Iterable[str]:
    """Return how a target can be given a task: one process for it, a service, or both."""
    return [*(["run"] if target.runs_one_task else []), *(["worker"] if "sqs" in target.delivery else [])]


def smoke_command(target: Annotated[str, typer.Option(help=targets.FORMS)]) -> None:
    """Give a worker one small task in each way that it takes them; say what came, or what did not and why."""
    with told():
        chosen = targets.find(target)
    wrong = False
    with told(), moto_server() as moto, containers_ended(in_container=chosen.in_container):
        for delivery in deliveries(chosen):
            events = run(fitted(scenario_of(delivery), chosen), chosen, Backends(moto, moto, "moto"))
            problems = diagnose(events, chosen, delivery)
            way = "as a service" if delivery == "worker" else "for one task"
            typer.echo(f"{'wrong' if problems else 'ok':6}{way}, {events[-1].at:.1f} s")
            for line in problems:
                typer.echo(f"      {printable(line)}")
            wrong |= bool(problems)
    raise typer.Exit(FAILED if wrong else 0)
