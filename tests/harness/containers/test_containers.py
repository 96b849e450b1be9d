"""Images and containers: who owns what, and what is said where there is no engine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.containers.engine import client
from harness.containers.images import IMAGES
from harness.containers.minio import minio_container
from harness.containers.reaper import OWNER_LABEL, is_orphan, owner_label, reap

BIN = Path(sys.executable).parent
NO_ENGINE = {"PATH": os.environ["PATH"], "DOCKER_HOST": "unix:///nonexistent/docker.sock"}


def test_a_live_owner_keeps_its_containers_a_dead_one_does_not():
    """A container is an orphan when its owner's process is gone, or its number belongs to another process now."""
    owner = owner_label()[OWNER_LABEL]
    namespace, _, process = owner.rpartition("/")
    pid = process.partition(":")[0]
    assert not is_orphan(owner)
    assert is_orphan(f"{namespace}/{pid}:1")
    assert is_orphan(f"{namespace}/4194305:1")


@pytest.mark.parametrize("owner", ["", "elsewhere/1:1", "no form at all"])
def test_what_was_made_elsewhere_is_nobodys_business_here(owner: str):
    """Another host or container on the same engine has process numbers of its own."""
    assert not is_orphan(owner)


@pytest.mark.parametrize("words", [["images", "build"], ["images", "list"]])
def test_without_an_engine_the_message_says_how_to_get_one(words: list[str]):
    """An error, exit code 1, and no traceback."""
    ran = subprocess.run([BIN / "cryo-harness", *words], env=NO_ENGINE, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "no Docker engine answers" in ran.stderr
    assert "apt-get install docker.io" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_test_that_needs_an_engine_is_skipped_with_the_reason_and_fails_under_ci(tmp_path: Path):
    """Without an engine: a visible skip; under CI=true: a failure. Neither is a pass."""
    root = Path(__file__).resolve().parents[3]
    (tmp_path / "test_one.py").write_text("import pytest\n@pytest.mark.docker\ndef test_one():\n    '''Nothing.'''\n")
    command = [BIN / "pytest", "-p", "no:cacheprovider", "-c", root / "pyproject.toml", "--rootdir", root]
    command += ["-p", "conftest", "--confcutdir", tmp_path, tmp_path / "test_one.py"]
    for extra, expected, code in (({}, "1 skipped", 0), ({"CI": "true"}, "1 error", 1)):
        environment = NO_ENGINE | extra | {"PYTHONPATH": str(root)}
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert expected in ran.stdout, ran.stdout
        assert "no Docker engine answers" in ran.stdout
        assert ran.returncode == code


@pytest.mark.docker
def test_the_container_is_labelled_published_on_loopback_and_gone_afterwards():
    """MinIO is reached on 127.0.0.1 alone, bears its owner, and leaves nothing."""
    engine = client()
    mine = {"label": [f"{OWNER_LABEL}={owner_label()[OWNER_LABEL]}"]}
    before = {container.id for container in engine.containers.list(all=True, filters=mine)}
    with minio_container() as server:
        (container,) = [one for one in engine.containers.list(filters=mine) if one.id not in before]
        bindings = [binding for port in container.ports.values() for binding in port or []]
        assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}
        assert server.url.endswith(bindings[0]["HostPort"])
        assert reap(engine) == []
    assert {one.id for one in engine.containers.list(all=True, filters=mine)} == before
    engine.close()


@pytest.mark.docker
def test_what_a_killed_run_left_is_removed_by_the_next():
    """A container whose owner was killed is found by its label and removed."""
    engine = client()
    namespace = owner_label()[OWNER_LABEL].rpartition("/")[0]
    dead = {OWNER_LABEL: f"{namespace}/4194305:1"}
    left = engine.containers.create(IMAGES["minio"].tag, labels=dead)
    reap(engine)
    assert left.id not in {container.id for container in engine.containers.list(all=True)}
    engine.close()
