"""The worker's image as a target."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.containers.images import IMAGES, build
from harness.containers.session import Session
from harness.scenario import find as find_scenarios
from harness.targets import Target
from harness.targets.fit import Unfit, fitted
from harness.targets.image import in_docker


def test_sec_2_no_argument_contains_a_value(tmp_path: Path):
    """SEC-2: arguments contain only the names of variables, and not PATH, which the image sets."""
    words = in_docker(("docker", "mine"), tmp_path, {"TOKEN": "secret-value", "PATH": "/host"}, tmp_path / "id")
    assert "secret-value" not in " ".join(words)
    assert [words[index + 1] for index, word in enumerate(words) if word == "--env"] == ["TOKEN"]
    assert words[-1] == "mine"


def test_a_worker_in_a_container_cannot_run_a_scenario_with_containers():
    """Only workers on this machine can use Cryo in its image."""
    inside = next(one for one in find_scenarios() if one.cryo == "container")
    with pytest.raises(Unfit, match="another container"):
        fitted(inside, Target("image:mine", ("docker", "mine"), in_container=True))


@pytest.mark.docker
def test_the_worker_image_passes_the_smoke_test(cryo_containers: Session):
    """The image passes as a single run and as a service."""
    assert cryo_containers
    result = CliRunner().invoke(app, ["smoke", "--target", f"image:{build(IMAGES['worker'])}"])
    assert result.exit_code == 0, result.output


@pytest.mark.docker
@pytest.mark.parametrize("name", ["fake-mode", "killed-before-manifest", "zombie-service", "real-cryo"])
def test_processes_in_a_container_are_observed(name: str, cryo_containers: Session):
    """Cryo's process in the container is found even if it reports nothing; signals go to the worker, not `docker`."""
    assert cryo_containers
    result = CliRunner().invoke(app, ["run", name, "--target", f"image:{build(IMAGES['worker'])}"])
    assert result.exit_code == 0, result.output
