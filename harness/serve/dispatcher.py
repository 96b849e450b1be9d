"""`cryo-harness serve dispatcher`: run the fake dispatcher and a queue until SIGTERM."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.fakes.dispatcher import ClaimForm, Dispatcher, DispatcherServer
from harness.serve.lifecycle import (
    FAILED,
    StopRequested,
    exports,
    handle_signals,
    print_lines,
    print_to_stderr,
    wait_for_stop,
)
from harness.stores.moto import moto_server
from harness.stores.queue import make_queue

if TYPE_CHECKING:
    from harness.stores.bucket import S3Endpoint
    from harness.stores.queue import Queue


def dispatcher(
    form: Annotated[str, typer.Option(help="The form of the claim answer: documented or lite.")] = "documented",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port on 127.0.0.1; 0 picks a free one.")] = 0,
    tasks: Annotated[
        Path | None, typer.Option(help="A file of payloads to add at the start, one JSON object per line.")
    ] = None,
    lease_seconds: Annotated[
        float, typer.Option(min=1, help="How long a lease lasts after a claim or heartbeat.")
    ] = 60,
) -> None:
    """Serve the fake dispatcher and an SQS queue; the first line is its URL, then the environment to export.

    POST a payload to /harness/tasks to add a task; GET that path for the state of all tasks.
    """
    payloads = _read(tasks)
    handle_signals()
    try:
        with ExitStack() as stack:
            endpoint = stack.enter_context(moto_server())
            server, queue = start(endpoint, stack, form=_form(form), port=port, lease_seconds=lease_seconds)
            lines = exports(server.environment() | queue.environment())
            print_lines(
                [
                    server.url,
                    *lines,
                    f"# POST a payload to {server.url}/harness/tasks, GET it for the state of all tasks",
                ]
            )
            for payload in payloads:
                print_to_stderr(f"task {server.dispatcher.add_task(payload)}")
            wait_for_stop()
    except OSError as error:
        print_to_stderr(f"can't listen on port {port}: {error.strerror}")
        raise typer.Exit(FAILED) from None
    except StopRequested:
        return


def start(
    queue_on: S3Endpoint, stack: ExitStack, *, form: ClaimForm = "documented", port: int = 0, lease_seconds: float = 60
) -> tuple[DispatcherServer, Queue]:
    """Start a dispatcher that accepts tasks over HTTP, and its queue; the stack stops it.

    Raises:
        OSError: the port is in use.
    """
    queue = make_queue(queue_on, visibility_seconds=int(lease_seconds))
    state_machine = Dispatcher(queue=queue, form=form, lease_seconds=lease_seconds)
    return stack.enter_context(DispatcherServer(state_machine, port=port, accept_tasks=True)), queue


def _form(text: str) -> ClaimForm:
    if text == "documented":
        return "documented"
    if text == "lite":
        return "lite"
    raise typer.BadParameter("must be documented or lite", param_hint="--form")


def _read(path: Path | None) -> list[dict[str, object]]:
    """Read the payloads; a line that is not a JSON object is a usage error."""
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"can't be read: {error}", param_hint="--tasks") from None
    payloads = []
    for number, line in enumerate(lines, start=1):
        try:
            payload = json.loads(line)
        except ValueError:
            payload = None
        if not isinstance(payload, dict):
            raise typer.BadParameter(f"line {number} is not a JSON object", param_hint="--tasks")
        payloads.append(payload)
    return payloads
