"""Simulated runs as scenarios: what can be expressed, and what is refused."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.explore.files import save
from harness.scenario import Scenario, find
from harness.simulate.plan import Kind, Operation, PlannedFault, Step, Switch
from harness.simulate.replay import Replay
from harness.simulate.wire import Untranslatable, as_scenario

TARGET = "simulation.adapter:worker"


def base() -> Scenario:
    (found,) = find(["straight-service"])
    return found


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("store.create", "refused"),
        ("store.replace", "cut-off"),
        ("dispatcher.heartbeat", "unanswered"),
        ("dispatcher.claim", "crash-between"),
        ("cryo.file", "unanswered"),
        ("store.list", "stopped"),
        ("queue.receive", "terminated"),
        ("store.read", "lease-taken"),
    ],
)
def test_a_fault_becomes_a_scenario_that_can_be_read(operation: str, kind: Kind, tmp_path: Path):
    """The file is a valid scenario, and is read as it was written."""
    fault = PlannedFault(Operation(operation, 1), kind)
    written = as_scenario(base(), (fault,), name="found")
    path = save(written, tmp_path)
    (read,) = find([str(path)])
    assert read == written
    assert str(fault) in read.title


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (PlannedFault(Operation("store.list", 1), "slow"), "can't express"),
        (PlannedFault(Operation("store.list", 1), "refused", lasting=True), "not for a time"),
        (PlannedFault(Operation("queue.hide", 1), "crash-after"), "no event"),
        (Switch(1, 3), "no order of two workers"),
    ],
    ids=["slow", "lasting", "no event", "switch"],
)
def test_what_no_scenario_expresses_is_named(step: Step, words: str):
    """The message has the step."""
    with pytest.raises(Untranslatable, match=words):
        as_scenario(base(), (step,), name="found")


def test_replay_writes_the_scenario_of_a_saved_run(tmp_path: Path):
    """`replay --scenario` writes a file and says how to run it; a run that has none is a usage error."""
    saved, written = tmp_path / "001.json", tmp_path / "found.toml"
    Replay(TARGET, "one-task", 3, (PlannedFault(Operation("store.create", 2), "refused"),)).save(saved)
    result = CliRunner().invoke(app, ["replay", str(saved), "--scenario", str(written)])
    assert result.exit_code == 0, result.output
    assert f"cryo-harness run {written}" in result.output
    assert find([str(written)])[0].store_faults[0].status == 503

    again = CliRunner().invoke(app, ["replay", str(saved), "--scenario", str(written)])
    assert again.exit_code == 64
    assert "exists already" in again.output
    Replay(TARGET, "two-workers", 0, (Switch(1, 3),)).save(saved)
    refused = CliRunner().invoke(app, ["replay", str(saved), "--scenario", str(written)])
    assert refused.exit_code == 64
    assert "only runs of one-task have a scenario" in refused.output
