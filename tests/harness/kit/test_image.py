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


def test_sec_2_no_value_is_in_the_arguments(tmp_path: Path):
    """SEC-2: variables go by their names; the image keeps its own PATH."""
    words = in_docker(("docker", "mine"), tmp_path, {"TOKEN": "secret-value", "PATH": "/host"}, tmp_path / "id")
    assert "secret-value" not in " ".join(words)
    assert [words[at + 1] for at, word in enumerate(words) if word == "--env"] == ["TOKEN"]
    assert words[-1] == "mine"


def test_a_container_starts_no_container():
    """Cryo in its image is for workers on this machine."""
    inside = next(one for one in find_scenarios() if one.cryo == "container")
    with pytest.raises(Unfit, match="no other container"):
        fitted(inside, Target("image:mine", ("docker", "mine"), in_container=True))


@pytest.mark.docker
def test_the_worker_image_is_wired_rightly(cryo_containers: Session):
    """Both as a command and as a service it finds all that it needs."""
    assert cryo_containers
    result = CliRunner().invoke(app, ["smoke", "--target", f"image:{build(IMAGES['worker'])}"])
    assert result.exit_code == 0, result.output


@pytest.mark.docker
@pytest.mark.parametrize("name", ["fake-mode", "killed-before-manifest", "zombie-service", "real-cryo"])
def test_what_goes_on_in_a_container_is_seen(name: str, cryo_containers: Session):
    """A Cryo that tells nobody of itself is seen there, and a signal meets the worker and not the command `docker`."""
    assert cryo_containers
    result = CliRunner().invoke(app, ["run", name, "--target", f"image:{build(IMAGES['worker'])}"])
    assert result.exit_code == 0, result.output
