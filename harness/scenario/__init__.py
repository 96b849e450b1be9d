"""Scenarios: TOML files that describe the environment of a worker, the faults, and the expected outcome.

An error names the file and the line. `docs/scenarios.md` describes the format.
"""

from __future__ import annotations

from harness.scenario.files import BadScenario, find, folder, read
from harness.scenario.lines import message_with_line
from harness.scenario.messages import Problem
from harness.scenario.model import (
    CONTAINER,
    PAYLOAD,
    NodeSettings,
    Outcome,
    Platform,
    PreloadedFile,
    PreloadedObject,
    Scenario,
    TaskLine,
    schema,
)
from harness.scenario.rules import problems

__all__ = [
    "CONTAINER",
    "PAYLOAD",
    "BadScenario",
    "NodeSettings",
    "Outcome",
    "Platform",
    "PreloadedFile",
    "PreloadedObject",
    "Problem",
    "Scenario",
    "TaskLine",
    "find",
    "folder",
    "message_with_line",
    "problems",
    "read",
    "schema",
]
