"""The documentation matches the code."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel
from support.virtual_time import VirtualClock

from cryo_ingest.errors import leaves
from cryo_ingest.meter import RpcMeter
from cryo_ingest.serve.metrics import render
from cryo_ingest.serve.shutdown import Shutdown
from cryo_ingest.serve.status import Status
from harness import report
from harness.faults.rpc import ACTIONS, RejectionForm
from harness.faults.store import Defect, Refusal
from harness.scenario.expectations import STATE_MESSAGES, STATE_WHETHER_CRYO_RUNS
from harness.scenario.model import NodeSettings, Platform, PreloadedFile, PreloadedObject, Scenario, TaskLine
from harness.scenario.rules import problems
from harness.targets.file import TargetFile
from harness.world.quirks import Quirks

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = "\n".join(
    (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    for page in ("reference", "harness-reference", "scenarios")
)
SCENARIOS = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "cryo_ingest").rglob("*.py")))

VARIABLE = r"(?:TRACE|MAX|S3|AWS|DISPATCHER|TASK|SQS)_[A-Z0-9_]"


def rows_after(marker: str) -> list[list[str]]:
    """Return the cells of the table that follows a marker comment."""
    table = REFERENCE.split(f"<!-- {marker}:", 1)[1].split("\n\n", 1)[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_out_2_the_table_of_errors_is_the_error_tree():
    """OUT-2, OUT-4: the reference lists each error with its outcome and exit code, in the order of the tree."""
    documented = [tuple(row[:3]) for row in rows_after("errors")]
    assert documented == [(leaf.__name__, leaf.outcome, str(leaf.exit_code)) for leaf in leaves()]


def test_every_variable_that_is_read_is_documented_and_no_other():
    """A user finds every setting, and none that does nothing."""
    paths = [ROOT / "cryo_ingest" / package / "settings.py" for package in (".", "serve", "sync")]
    settings = "".join(path.read_text(encoding="utf-8") for path in paths)
    read = set(re.findall(rf'"({VARIABLE}*[A-Z0-9])"', settings)) - {"TRACE_RPC_POOL"}
    documented = set(re.findall(rf"`({VARIABLE}+)`", " ".join(row[0] for row in rows_after("environment"))))
    assert documented == read


def test_every_kind_of_report_is_documented_and_no_other():
    """A user finds the meaning of every suffix."""
    assert [row[0].strip("`") for row in rows_after("reports")] == list(report.KINDS)


def test_every_log_event_is_documented_and_no_other():
    """An operator who sets alerts on events finds all of them."""
    logged = set(re.findall(r'log\.(?:info|warning|error|exception)\(\s*"([a-z_.]+)"', SOURCE))
    assert {row[0].strip("`") for row in rows_after("events")} == logged


def test_every_metric_is_documented_and_no_other():
    """An operator finds the name and the labels of each metric."""
    meter = RpcMeter()
    meter.endpoint("endpoint 1 of 1").of("eth_getLogs").calls = 1
    families = text_string_to_metric_families(render(Status(Shutdown(1, VirtualClock())), meter).decode())
    counted = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    assert {row[0].strip("`") for row in rows_after("metrics")} == counted


def test_every_key_of_a_targets_file_is_documented_and_no_other():
    """The author of a target file finds every key."""
    assert [row[0].strip("`") for row in rows_after("target")] == list(TargetFile.model_fields)


def test_every_store_fault_by_name_is_documented_and_no_other():
    """The author of a scenario finds every fault that a store can have."""
    documented = re.findall(r"`([a-z-]+)`", " ".join(row[0] for row in rows_after("store faults")))
    assert documented == [*get_args(Refusal), *get_args(Defect)]


@pytest.mark.parametrize(
    ("marker", "model"),
    [
        ("scenario", Scenario),
        ("task", TaskLine),
        ("node", NodeSettings),
        ("platform", Platform),
        ("preloaded object", PreloadedObject),
        ("preloaded file", PreloadedFile),
    ],
)
def test_every_key_of_a_scenario_is_documented_and_no_other(marker: str, model: type[BaseModel]):
    """The author of a scenario finds every key; the name of a scenario is that of its file."""
    documented = re.findall(r"`(\w+)`", " ".join(row[0] for row in rows_after(marker)))
    assert sorted(documented) == sorted(name for name in model.model_fields if name != "name")


def test_the_clauses_that_expectations_rest_on_are_documented():
    """The table has exactly the clauses that state messages, and those that state whether Cryo runs."""
    documented = [set(row[1].split(", ")) for row in rows_after("expectations")]
    assert documented == [STATE_MESSAGES, STATE_WHETHER_CRYO_RUNS]


def test_the_example_scenario_of_the_page_is_valid():
    """The first scenario that an author reads has no mistake."""
    (example,) = re.findall(r"```toml\n(title = .*?)```", SCENARIOS, re.DOTALL)
    scenario = Scenario.model_validate({"name": "example", **tomllib.loads(example)})
    assert problems(scenario) == []


def test_every_fixture_of_the_plugin_is_documented_and_no_other():
    """A test author finds every fixture; those whose names begin with `cryo_` are internal."""
    source = (ROOT / "harness" / "plugin.py").read_text(encoding="utf-8")
    made = set(re.findall(r"@pytest\.fixture[^\n]*\ndef (\w+)\(", source))
    documented = {row[0].strip("`") for row in rows_after("fixtures")}
    assert documented == {name for name in made if not name.startswith("cryo_")}


def first_cells(heading: str) -> list[str]:
    """Return the names in the first cells of the table under a heading of scenarios.md."""
    section = SCENARIOS.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("|").split("|")[0] for line in section.splitlines() if line.startswith("|")]
    return [name.strip(" `") for row in rows[2:] for name in row.split(",")]


def test_every_quirk_is_documented_and_no_other():
    """The author of a scenario finds each condition that a chain or a node can have."""
    assert sorted(first_cells("Quirks")) == sorted(quirk.name for quirk in fields(Quirks))


def test_every_kind_of_fault_of_the_pool_is_documented_and_no_other():
    """The author of a scenario finds each fault by its name, and each form in which a request can be refused."""
    assert sorted(first_cells("Faults of the node")) == sorted(ACTIONS)
    forms = SCENARIOS.partition("The forms of a rejection:")[2].partition("\n\n")[0]
    assert [form for form in get_args(RejectionForm) if f"`{form}`" not in forms] == []
