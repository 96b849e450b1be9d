"""Which scenarios a target can be put into, and how: a service gets the tasks of single runs through its queue."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from harness.scenario import CONTAINER, Scenario

if TYPE_CHECKING:
    from harness.targets.target import Target

REPORTED = {"success", "retryable_error", "fatal_error", "success_or_retry"}
"""Outcomes that a dispatcher is told, so that a scenario of commands can be one of a service."""


class Unfit(Exception):
    """A target can't be put into a scenario; the message is the reason."""


def fitted(scenario: Scenario, target: Target) -> Scenario:
    """Return the scenario as this target takes it.

    Raises:
        Unfit: it can't.
    """
    if target.in_container and scenario.cryo == CONTAINER:
        raise Unfit("a worker in a container starts no other container")
    if any(planted.owner is not None for planted in scenario.preloaded_files) and os.geteuid() != 0:
        raise Unfit("only root can plant a directory of somebody else's")
    if scenario.delivery == "worker" and "sqs" not in target.delivery:
        raise Unfit("needs a worker that takes wake-ups (delivery sqs)")
    if scenario.delivery == "run" and not target.runs_one_task:
        scenario = _as_service(scenario)
    if target.claim is not None and scenario.delivery == "worker":
        platform = scenario.platform.model_copy(update={"form": target.claim})
        scenario = scenario.model_copy(update={"platform": platform})
    return scenario


def _as_service(scenario: Scenario) -> Scenario:
    """Return a scenario of commands as one of a service that gets each task once."""
    first = scenario.tasks[0]
    for line in scenario.tasks:
        if line.outcome not in REPORTED:
            raise Unfit(f"only a command (delivery payload-…) can end as {line.outcome}")
        if line.raw is not None and not _is_json(line.raw):
            raise Unfit("no dispatcher hands out a payload that is no JSON")
        if line.attempt != 1 or line.same_task or line.environment != first.environment:
            raise Unfit("its attempts are told apart on the command line (delivery payload-…)")
    payloads = [line.text() for line in scenario.tasks]
    if len(set(payloads)) < len(payloads):
        raise Unfit("it has one payload in two tasks, which a dispatcher has in one")
    if scenario.store != "s3":
        raise Unfit("a service is not told of a directory store")
    if scenario.triggers:
        raise Unfit("it does something to the process of one attempt (delivery payload-…)")
    platform = scenario.platform.model_copy(update={"max_attempts": 1})
    return scenario.model_copy(update={"delivery": "worker", "platform": platform})


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
