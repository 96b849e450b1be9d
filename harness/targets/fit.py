"""Which scenarios a target can run, and how: a service gets the tasks of single runs through its queue."""

from __future__ import annotations

import importlib.util
import json
import os
from typing import TYPE_CHECKING

from harness.scenario import CONTAINER, Scenario

if TYPE_CHECKING:
    from harness.targets.target import Target

REPORTED = {"success", "retryable_error", "fatal_error", "success_or_retry"}
"""Outcomes that are reported to a dispatcher, so that a service can run a scenario of single runs."""


REAL_CRYO = "cryo-from-wheel"
"""The executable of scenarios that need real Cryo; it is part of the worker's package and runs the wheel of Cryo."""
NO_REAL_CRYO = "needs real Cryo: pip install 'cryo==0.3.2' (CPython 3.11), or install the package with its extra `cryo`"


class Unfit(Exception):
    """A target can't run a scenario; the message is the reason."""


def fitted(scenario: Scenario, target: Target) -> Scenario:
    """Return the scenario adapted to this target.

    Raises:
        Unfit: the target can't run it.
    """
    if target.in_container and scenario.cryo == CONTAINER:
        raise Unfit("a worker in a container can't start another container")
    if scenario.cryo == REAL_CRYO and not target.in_container and not has_real_cryo():
        raise Unfit(NO_REAL_CRYO)
    if any(file.owner is not None for file in scenario.preloaded_files) and os.geteuid() != 0:
        raise Unfit("only root can create a directory of another user")
    if scenario.delivery == "worker" and "sqs" not in target.delivery:
        raise Unfit("needs a worker that reads wake-ups (delivery sqs)")
    if scenario.delivery == "run" and not target.runs_one_task:
        scenario = _as_service(scenario)
    if target.claim is not None and scenario.delivery == "worker":
        platform = scenario.platform.model_copy(update={"form": target.claim})
        scenario = scenario.model_copy(update={"platform": platform})
    return scenario


def has_real_cryo() -> bool:
    """Return whether the wheel of Cryo is installed."""
    try:
        return importlib.util.find_spec("cryo._cryo_rust") is not None
    except ModuleNotFoundError:
        return False


def _as_service(scenario: Scenario) -> Scenario:
    """Return a scenario of single runs as one of a service that gets each task once."""
    first = scenario.tasks[0]
    for line in scenario.tasks:
        if line.outcome not in REPORTED:
            raise Unfit(f"only a single run (delivery payload-…) can have the outcome {line.outcome}")
        if line.raw is not None and not _is_json(line.raw):
            raise Unfit("a dispatcher only sends payloads that are JSON")
        if line.attempt != 1 or line.same_task or line.environment != first.environment:
            raise Unfit("its attempts differ in their command lines (delivery payload-…)")
    payloads = [line.text() for line in scenario.tasks]
    if len(set(payloads)) < len(payloads):
        raise Unfit("two of its tasks have the same payload")
    if scenario.store != "s3":
        raise Unfit("a service can't publish to a directory")
    if scenario.triggers:
        raise Unfit("its triggers act on the process of one attempt (delivery payload-…)")
    platform = scenario.platform.model_copy(update={"max_attempts": 1})
    return scenario.model_copy(update={"delivery": "worker", "platform": platform})


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
