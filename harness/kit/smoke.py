"""`cryo-harness smoke`: check within seconds whether a worker is configured correctly, and explain what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated

import typer

from harness import targets
from harness.checks.staging_and_caps import output_directory
from harness.history import CryoStarted, DispatcherCall, Event, StoreResponse, WorkerExited, of, scenario_started
from harness.kit.commands import FAILED, usage_errors
from harness.report.names import printable
from harness.runner.run import run
from harness.scenario import PAYLOAD, Scenario, TaskLine
from harness.stores.backends import Backends
from harness.stores.moto import moto_server
from harness.targets import Target
from harness.targets.fit import fitted
from harness.targets.image import remove_containers_after

PATIENCE_SECONDS = 15.0
LAST_LINES = 8
MAX_LINE_CHARACTERS = 300
OK, FIRST_ERROR = 200, 400


@dataclass(frozen=True, slots=True)
class SmokeStep:
    """Something that a worker must do: a test whether it happened, and the variables that it depends on.

    `rejections` returns the answers that rejected it, as text.
    """

    name: str
    happened: Callable[[list[Event]], bool]
    variables: tuple[str, ...]
    rejections: Callable[[list[Event]], str] = lambda _: ""


def _occurred(kind: str, **fields: object) -> Callable[[list[Event]], bool]:
    def happened(events: list[Event]) -> bool:
        return any(
            event.kind == kind and all(getattr(event, name) == value for name, value in fields.items())
            for event in events
        )

    return happened


def _put(suffix: str) -> Callable[[list[Event]], bool]:
    def happened(events: list[Event]) -> bool:
        puts = [event for event in of(events, StoreResponse) if event.kind == "object_put"]
        return any(
            event.key.endswith(suffix) and event.status is not None and event.status < FIRST_ERROR for event in puts
        )

    return happened


def _rejections(*kinds: str) -> Callable[[list[Event]], str]:
    def rejections(events: list[Event]) -> str:
        answers = {f"{event.kind.replace('_', ' ')} was answered {event.status}" for event in events
                   if isinstance(event, DispatcherCall | StoreResponse) and event.kind in kinds
                   and event.status != OK}  # fmt: skip
        return "; ".join(sorted(answers))

    return rejections


def _staged_below_root(events: list[Event]) -> bool:
    root = scenario_started(events).staging_root
    return any(output_directory(event).is_relative_to(root) for event in of(events, CryoStarted))


def _published(events: list[Event]) -> bool:
    return any(event.code == 0 and event.stdout.strip().startswith("{") for event in of(events, WorkerExited))


S3 = ("S3_ENDPOINT", "S3_BUCKET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
SERVICE = (
    SmokeStep("SQS ReceiveMessage", _occurred("message_received"), ("TASK_WAKEUP_QUEUE", "SQS_ENDPOINT")),
    SmokeStep(
        "claim (POST /internal/task-claim)",
        _occurred("claim", status=OK),
        ("DISPATCHER_URL", "TRACE_WORKER_TOKEN"),
        _rejections("claim", "unknown_request"),
    ),
)
WORK = (
    SmokeStep(
        "eth_chainId", _occurred("rpc_call", method="eth_chainId"), ("TRACE_CRYO_MODE", "TRACE_RPC_POOL_LOCAL_URL")
    ),
    SmokeStep("start of Cryo", _occurred("cryo_started"), ("TRACE_CRYO_BIN",)),
    SmokeStep("staging directory below the staging root", _staged_below_root, ("TRACE_CRYO_STAGING_ROOT",)),
    SmokeStep("PUT of a Parquet file", _put(".parquet"), S3, _rejections("object_put", "store_other", "object_listed")),
    SmokeStep(
        "PUT of _manifest.json", _put("_manifest.json"), S3, _rejections("object_put", "store_other", "object_listed")
    ),
)
COMMAND_ENDS = (SmokeStep("publication, as one JSON line on standard output, with exit code 0", _published, ()),)
SERVICE_ENDS = (
    SmokeStep(
        "complete (POST /v1/task/complete)",
        _occurred("complete", status=OK),
        ("DISPATCHER_URL",),
        _rejections("complete", "unknown_request"),
    ),
    SmokeStep("SQS DeleteMessage", _occurred("message_acknowledged"), ("TASK_WAKEUP_QUEUE", "SQS_ENDPOINT")),
)


def scenario_of(delivery: str, *, patience_seconds: float) -> Scenario:
    """Return the scenario with one small task; the worker is stopped if it has not ended after `patience_seconds`."""
    line = TaskLine(set={"range_end": PAYLOAD["range_start"] + 20})
    return Scenario.model_validate(
        {
            "name": f"smoke-{delivery}",
            "title": "one small task",
            "clauses": ("PUB-1",),
            "delivery": delivery,
            "patience_seconds": patience_seconds,
            "tasks": (line.model_dump(),),
        }
    )


def diagnose(events: list[Event], target: Target, delivery: str) -> list[str]:
    """Return what is wrong, as text; an empty list if every step happened."""
    steps = (*SERVICE, *WORK, *SERVICE_ENDS) if delivery == "worker" else (*WORK, *COMMAND_ENDS)
    missing = [step for step in steps if not step.happened(events)]
    if not missing:
        return []
    first, *later = missing
    lines = [f"did not happen: {first.name}"]
    if rejections := first.rejections(events):
        lines.append(f"because {rejections}")
    if first.variables:
        names = ", ".join(map(target.name_of, first.variables))
        lines.append(f"it depends on {names}: did the worker not read one of them, or does it use another name?")
    lines += [f"also did not happen: {step.name}{_variables(step, target)}" for step in later]
    if len(missing) == len(steps):
        lines.append("the worker sent no request to any server")
    return [*lines, *_how_it_ended(events)]


def _variables(step: SmokeStep, target: Target) -> str:
    return f" ({', '.join(map(target.name_of, step.variables))})" if step.variables else ""


def _how_it_ended(events: list[Event]) -> list[str]:
    timed_out = any(event.kind == "timed_out" for event in events)
    stopped = "; it did nothing more and was stopped (--patience)" if timed_out else ""
    described = []
    for event in events:
        if event.kind == "exit":
            how = f"exit code {event.code}" if event.code >= 0 else f"ended by signal {-event.code}"
            described.append(f"the worker: {how}{stopped}")
    lines = [event.text for event in events if event.kind == "log_line"]
    lines += [line for event in events if event.kind == "exit" for line in event.stdout.splitlines()[-LAST_LINES:]]
    described.append("its last lines:" if lines else "it wrote nothing")
    return [*described, *(f"  {line[:MAX_LINE_CHARACTERS]}" for line in lines[-LAST_LINES:])]


def deliveries(target: Target) -> Iterable[str]:
    """Return how a target can get a task: as one process per task, as a service, or both."""
    return [*(["run"] if target.runs_one_task else []), *(["worker"] if "sqs" in target.delivery else [])]


def smoke_command(
    target: Annotated[str, typer.Option(help=targets.FORMS)],
    patience: Annotated[
        float, typer.Option(min=1, max=300, help="Stop a worker that has not ended after this many seconds.")
    ] = PATIENCE_SECONDS,
) -> None:
    """Give a worker one small task in each way that it accepts; report what did not happen and why."""
    with usage_errors():
        chosen = targets.find(target)
    failed = False
    with usage_errors(), moto_server() as moto, remove_containers_after(in_container=chosen.in_container):
        for delivery in deliveries(chosen):
            scenario = fitted(scenario_of(delivery, patience_seconds=patience), chosen)
            events = run(scenario, chosen, Backends(moto, moto, "moto"))
            problems = diagnose(events, chosen, delivery)
            mode = "as a service" if delivery == "worker" else "for one task"
            typer.echo(f"{'wrong' if problems else 'ok':6}{mode}, {events[-1].at:.1f} s")
            for line in problems:
                typer.echo(f"      {printable(line)}")
            failed |= bool(problems)
    raise typer.Exit(FAILED if failed else 0)
