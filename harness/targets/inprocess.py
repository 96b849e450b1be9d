"""A Python function as a worker: `python -m harness.targets.inprocess MODULE:FUNCTION run - …`, one process per task.

The function, plain or async, is called as `function(payload, environment, store=…, task_id=…, attempt=…)` with the
payload's text, the environment, and the options of a worker's command line. It returns the publication. An exception
ends the attempt; its `exit_code` says how: 69 for fatal, 75 (the default) for retryable.
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
        ImportError: the module or the function does not exist.
    """
    module, _, function = name.partition(":")
    attribute = getattr(importlib.import_module(module), function, None)
    if not callable(attribute):
        raise ImportError(f"{module} has no function {function}")  # noqa: TRY004 - as for a missing module
    loaded: Callable[..., Any] = attribute
    return loaded


def call(function: Callable[..., Any], payload: str, options: argparse.Namespace) -> int:
    """Call the function, print the publication, and return the exit code."""
    try:
        result = function(
            payload, dict(os.environ), store=options.store, task_id=options.task_id, attempt=options.attempt
        )
        if inspect.isawaitable(result):
            result = asyncio.run(_awaited(result))
    except Exception as error:  # noqa: BLE001 - any exception ends the attempt
        traceback.print_exc()
        code = getattr(error, "exit_code", RETRYABLE)
        return code if isinstance(code, int) else RETRYABLE
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def main() -> int:
    """Run one task."""
    parser = argparse.ArgumentParser(prog="harness.targets.inprocess")
    parser.add_argument("function")
    parser.add_argument("command", choices=["run"])
    parser.add_argument("payload", choices=["-"])
    parser.add_argument("--store", required=True)
    parser.add_argument("--task-id", required=True)
    parser.add_argument("--attempt", type=int, required=True)
    options = parser.parse_args()
    try:
        function = load(options.function)
    except ImportError as error:
        sys.stderr.write(f"target py:{options.function}: {error}\n")
        return BAD_CONFIGURATION
    return call(function, sys.stdin.read(), options)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # if the function used obstore, any other exit aborts the process
