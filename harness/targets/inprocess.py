"""A Python function as a worker: `python -m harness.targets.inprocess MODULE:FUNCTION run - …`, one process a task.

The function is called as `function(payload, environment, store=…, task_id=…, attempt=…)`, plain or async: the
payload's text, the environment, and what the command line of a worker has. It returns the publication. Whatever it
raises ends the attempt; an error's `exit_code` says how (69 fatal, 75 retryable, which one without it means too).
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

RETRYABLE, BAD_CONFIGURATION = 75, 78


def load(name: str) -> Callable[..., Any]:
    """Return a function by `MODULE:FUNCTION`.

    Raises:
        ImportError: there is none.
    """
    module, _, function = name.partition(":")
    found = getattr(importlib.import_module(module), function, None)
    if not callable(found):
        raise ImportError(f"{module} has no function {function}")  # noqa: TRY004 - as for a module that is not there
    called: Callable[..., Any] = found
    return called


def call(function: Callable[..., Any], payload: str, asked: argparse.Namespace) -> int:
    """Call it, print the publication, and return the exit code."""
    try:
        found = function(payload, dict(os.environ), store=asked.store, task_id=asked.task_id, attempt=asked.attempt)
        if inspect.isawaitable(found):
            found = asyncio.run(_finished(found))
    except Exception as error:  # noqa: BLE001 - however it fails, that is how the attempt ends
        traceback.print_exc()
        code = getattr(error, "exit_code", RETRYABLE)
        return code if isinstance(code, int) else RETRYABLE
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


async def _finished(awaited: Any) -> Any:
    return await awaited


def main() -> int:
    """Run one task."""
    parser = argparse.ArgumentParser(prog="harness.targets.inprocess")
    parser.add_argument("function")
    parser.add_argument("command", choices=["run"])
    parser.add_argument("payload", choices=["-"])
    parser.add_argument("--store", required=True)
    parser.add_argument("--task-id", required=True)
    parser.add_argument("--attempt", type=int, required=True)
    asked = parser.parse_args()
    try:
        function = load(asked.function)
    except ImportError as error:
        sys.stderr.write(f"target py:{asked.function}: {error}\n")
        return BAD_CONFIGURATION
    return call(function, sys.stdin.read(), asked)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # obstore, where the function used it, aborts a process that ends in any other way
