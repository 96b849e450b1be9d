"""`python -m harness.reference worker` and `run PAYLOAD`, with the exit codes of docs/reference.md."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from harness.reference import staging
from harness.reference.attempt import Attempt, crashed
from harness.reference.cancellation import Cancellation
from harness.reference.errors import AttemptError, BadConfiguration, BadPayload, ShuttingDown
from harness.reference.log import Log
from harness.reference.payload import UUID
from harness.reference.s3 import open_store
from harness.reference.service import Service
from harness.reference.settings import Settings, read_settings

if TYPE_CHECKING:
    from typing import NoReturn

USAGE = 64
SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "TRACE_WORKER_TOKEN", "TRACE_CRYO_RPC_URL")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}\n")


def main() -> None:
    """Run the command line and exit."""
    parser = _Parser(prog="python -m harness.reference", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("worker", help="process wake-ups from the queue")
    run = commands.add_parser("run", help="run one attempt without a dispatcher")
    run.add_argument("payload", help="a file, or - for standard input")
    run.add_argument("--store", help="s3://bucket or file:///directory")
    run.add_argument("--task-id", type=_task_id, default=str(uuid.uuid4()))
    run.add_argument("--attempt", type=int, default=1)
    options = parser.parse_args()
    log = Log()
    # Secrets must be known to the log before anything is logged.
    log.hide(*(os.environ.get(name) for name in SECRETS))
    for name, value in os.environ.items():
        if name.startswith("TRACE_RPC_POOL_"):
            log.hide(*value.split())
    try:
        settings = read_settings(os.environ)
        if options.command == "worker":
            clean = Service(settings, log).run()
            # Threads that did not end in time must not keep the process alive.
            os._exit(0 if clean else 128 + signal.SIGTERM)
        sys.exit(_run(options, settings, log))
    except AttemptError as error:
        log.write("attempt.failed", outcome=error.outcome, message=str(error))
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001 - a bug; the message may contain a secret, which the log removes
        log.write("attempt.crashed", outcome=crashed(error).outcome, message=f"{type(error).__name__}: {error}")
        sys.exit(crashed(error).exit_code)


def _task_id(text: str) -> str:
    # It becomes the name of a directory.
    if not UUID.fullmatch(text):
        raise argparse.ArgumentTypeError("must be a UUID")
    return text.lower()


def _run(options: argparse.Namespace, settings: Settings, log: Log) -> int:
    """Run one attempt, print its publication, and return the exit code.

    Raises:
        AttemptError: the attempt failed.
    """
    cancellation = Cancellation()
    signals: list[int] = []

    def stop(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        signals.append(number)
        cancellation.stop(ShuttingDown("ended by a signal"))

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        store = open_store(options.store, settings, cancellation)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return USAGE
    staging.sweep(settings.staging_root, settings.staging_ttl_hours, log)
    log.write("task", task_id=options.task_id)
    try:
        with Attempt(
            _read(options.payload),
            options.task_id,
            options.attempt,
            settings=settings,
            store=store,
            cancellation=cancellation,
            log=log,
        ) as attempt:
            publication = attempt.run()
            sys.stdout.write(json.dumps(publication) + "\n")
            sys.stdout.flush()
            attempt.write_late_manifest()
    except ShuttingDown:
        return 128 + signals[0]
    return 0


def _read(name: str) -> object:
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return json.loads(content)
    except OSError as error:
        raise BadConfiguration(f"the payload {name} can't be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise BadPayload("the payload is not JSON") from None
