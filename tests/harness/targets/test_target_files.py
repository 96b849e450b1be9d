"""A target's file: its fields are applied, and a mistake is named with its line."""

import json
from pathlib import Path

import pytest

from harness import schemas
from harness.scenario import find as find_scenarios
from harness.targets import BadTarget, find
from harness.targets.file import schema
from harness.targets.fit import Unfit, fitted

GOOD = 'version = 1\ncommand = ["sh", "-c", "exit 0"]\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version =\n", "line 1"),
        (GOOD.replace("1", "2"), "line 1: version"),
        ("version = 1\n", "command: Field required"),
        (GOOD + 'delivery = "pigeon"\n', "line 3: delivery"),
        (GOOD + "deliver = 1\n", "line 3: deliver"),
        (GOOD + 'publication = "stdout"\ndelivery = "sqs"\n', "line 3: publication"),
        (GOOD + 'delivery = "payload-file"\nrun = ["go"]\n', "line 4: run"),
        (GOOD + 'staging_root = "tmp"\n', "line 3: staging_root"),
        (GOOD + '[cannot]\nLAY-1 = "x"\nPAY-99 = "x"\n', "line 5: cannot.PAY-99: Value error, the contract has no"),
        (GOOD + '[cannot]\nLAY-1 = " "\n', "line 4: cannot.LAY-1"),
        (GOOD.replace("sh", "/nonexistent/worker"), "/nonexistent/worker"),
        (GOOD + 'staging_root = "/"\n', "staging_root / exists already"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, said: str, tmp_path: Path):
    """The error names the file, the line, the field and the mistake."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(BadTarget, match=r"mine\.toml") as caught:
        find(str(path))
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["pigeon", "py:module", "image:", "cmd:"])
def test_an_unknown_target_is_an_error(text: str):
    """The message contains the text."""
    with pytest.raises(BadTarget, match=text):
        find(text)


def test_names_words_and_variables_come_from_the_file(tmp_path: Path):
    """Variables get the worker's names, and the path of the payload is filled in."""
    path = tmp_path / "mine.toml"
    path.write_text(
        GOOD + 'delivery = "payload-file"\nrun = ["--task={payload}", "{attempt}"]\nname = "m"\n'
        '[environment]\nS3_BUCKET = "BUCKET"\n[set]\nMORE = "1"\n[cannot]\nLAY-1 = "other keys"\n'
    )
    target = find(str(path))
    assert target.name == "m"
    assert target.named({"S3_BUCKET": "b", "AWS_REGION": "r"}) == {"BUCKET": "b", "AWS_REGION": "r"}
    assert target.command_line(tmp_path, {}, {"payload": "/p.json", "attempt": "2"}, tmp_path / "id")[-2:] == [
        "--task=/p.json",
        "2",
    ]
    assert target.environment == (("MORE", "1"),)
    assert target.cannot == {"LAY-1": "other keys"}


def test_the_schema_file_is_that_of_the_model():
    """The committed JSON Schema is the one that the model has."""
    assert schemas.schema("target") == json.loads(json.dumps(schema()))


def test_a_service_gets_the_tasks_of_single_runs(tmp_path: Path):
    """A service gets them through a dispatcher; scenarios for which this is impossible are an error."""
    path = tmp_path / "service.toml"
    path.write_text(GOOD + 'delivery = "sqs"\nclaim = "lite"\n')
    target = find(str(path))
    scenarios = {scenario.name: scenario for scenario in find_scenarios()}
    adapted = fitted(scenarios["straight-run"], target)
    assert (adapted.delivery, adapted.platform.form, adapted.platform.max_attempts) == ("worker", "lite", 1)
    for name in ("not-json", "unknown-mode", "straight-directory", "two-at-once", "stopped-run"):
        with pytest.raises(Unfit):
            fitted(scenarios[name], target)


def test_a_worker_without_a_queue_gets_no_service_scenarios(tmp_path: Path):
    """A worker that does not read the queue can't run scenarios of a service."""
    path = tmp_path / "command.toml"
    path.write_text(GOOD + 'delivery = "payload-stdin"\n')
    scenario = next(scenario for scenario in find_scenarios() if scenario.delivery == "worker")
    with pytest.raises(Unfit, match="wake-ups"):
        fitted(scenario, find(str(path)))
