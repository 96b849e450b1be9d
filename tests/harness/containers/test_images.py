"""The images: built once from packages, tagged by their inputs, replaceable with a variable."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.containers.engine import client
from harness.containers.images import IMAGES, build
from harness.containers.worker import STAGING

BIN = Path(sys.executable).parent
PAYLOAD = json.loads((Path(__file__).resolve().parents[3] / "fixtures" / "tasks" / "demo.json").read_text())


def harness(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "cryo-harness", *words], env=os.environ | environment, capture_output=True, text=True, check=False
    )


def docker(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *words], input=stdin, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def worker() -> dict[str, Any]:
    """The engine's description of the worker's image; `cryo_ingest:latest` may be from another checkout."""
    tag = build(IMAGES["worker"])
    engine = client()
    try:
        return engine.images.get(tag).attrs | {"Tag": tag}
    finally:
        engine.close()


def test_a_tag_depends_on_the_base_image():
    """With another base image the tags change, except those of images that do not use it."""
    listed = {}
    script = "from harness.containers.images import IMAGES\nfor image in IMAGES.values(): print(image.name, image.tag)"
    for base in ("", "python:3.11-slim"):
        environment = os.environ | {"HARNESS_BASE_IMAGE": base}
        ran = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        listed[base] = dict(line.split() for line in ran.stdout.splitlines())
    ours, theirs = listed.values()
    assert theirs["base"] == "python:3.11-slim"
    assert theirs["minio"] == ours["minio"]
    assert all(theirs[name] != ours[name] for name in ("anvil", "cryo", "worker"))


@pytest.mark.docker
def test_existing_images_are_not_built_again_and_are_listed_with_their_versions(worker: dict[str, Any]):
    """A second build finds all images; the list has version, source and variable of each."""
    again = harness("images", "build")
    assert again.returncode == 0, again.stderr
    assert again.stderr.count(" exists\n") == 5
    assert "building" not in again.stderr
    listed = harness("images", "list").stdout
    for words in ("anvil-linux-amd64@1.7.1, from npm", "cryo==0.3.2, from PyPI", "HARNESS_MINIO_IMAGE", worker["Tag"]):
        assert words in listed


@pytest.mark.docker
def test_an_image_that_a_variable_selects_is_never_built():
    """If the engine does not have the selected image, the command fails instead of building one."""
    ran = harness("images", "build", "anvil", HARNESS_ANVIL_IMAGE="elsewhere/anvil:1")
    assert ran.returncode == 1
    assert "HARNESS_ANVIL_IMAGE selects elsewhere/anvil:1" in ran.stderr
    assert "docker pull" in ran.stderr


@pytest.mark.docker
def test_the_worker_image_is_small_and_unprivileged_and_has_provenance_labels(worker: dict[str, Any]):
    """Under 450 MB, user 10001, one volume, real mode, an init, OCI labels with version and source revision."""
    config = worker["Config"]
    assert worker["Size"] < 450e6
    assert config["User"] == "10001:10001"
    assert list(config["Volumes"]) == [STAGING]
    assert "TRACE_CRYO_MODE=real" in config["Env"]
    assert config["Entrypoint"] == ["/usr/bin/tini", "--", "cryo-ingest"]
    assert harness("images", "build", "worker").returncode == 0
    latest = json.loads(docker("image", "inspect", "cryo_ingest:latest").stdout)[0]["Config"]["Labels"]
    assert latest["org.opencontainers.image.version"] == "0.1.0"
    assert len(latest["org.opencontainers.image.revision"].removesuffix("-dirty")) == 40


@pytest.mark.docker
def test_the_worker_image_has_both_cryos_and_no_build_tools(worker: dict[str, Any]):
    """Real and fake Cryo are on its PATH; pip, compilers and make are not; only its user can read staging."""
    script = f"cryo --version; fake-cryo --version; stat -c '%a %u' {STAGING}; which pip pip3 gcc cc make dpkg-source"
    ran = docker("run", "--rm", "--read-only", "--cap-drop", "ALL", "--entrypoint", "sh", worker["Tag"], "-c", script)
    assert ran.stdout.split("\n") == ["cryo 0.3.2", "cryo 0.3.2", "700 10001", ""]


@pytest.mark.docker
def test_the_worker_image_takes_its_task_from_standard_input(worker: dict[str, Any], tmp_path: Path):
    """`docker run -i --env-file … run - < TASK.json`, locked down, prints one publication."""
    (tmp_path / "worker.env").write_text("TRACE_CRYO_MODE=fake\nTRACE_LOG_FORMAT=json\n")
    locked_down = ["--read-only", "--user", "10001", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    ran = docker(
        "run", "--rm", "-i", "--env-file", str(tmp_path / "worker.env"), *locked_down, "--tmpfs", "/out:uid=10001",
        worker["Tag"], "run", "-", "--store", "file:///out", stdin=json.dumps(PAYLOAD),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["dataset_uuid"] == PAYLOAD["dataset_uuid"]
