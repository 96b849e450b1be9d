"""Images and containers: ownership, clean-up, and the errors without an engine."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from harness.containers.anvil import anvil_container
from harness.containers.engine import client
from harness.containers.minio import shared_minio
from harness.containers.reaper import OWNER_LABEL, is_orphan, owner_label, reap
from harness.containers.session import Session, session

BIN = Path(sys.executable).parent
NO_ENGINE = {"PATH": os.environ["PATH"], "DOCKER_HOST": "unix:///nonexistent/docker.sock"}


def test_a_container_is_an_orphan_if_its_owner_is_dead():
    """An owner is dead if its process has ended, or if another process has its id now."""
    owner = owner_label()[OWNER_LABEL]
    namespace, _, process = owner.rpartition("/")
    pid = process.partition(":")[0]
    assert not is_orphan(owner)
    assert not is_orphan(f"{owner}:one of its sessions")
    assert is_orphan(f"{namespace}/{pid}:1")
    assert is_orphan(f"{namespace}/4194305:1")


@pytest.mark.parametrize("owner", ["", "elsewhere/1:1", "malformed"])
def test_a_container_of_another_namespace_is_not_an_orphan(owner: str):
    """Another host or container that uses the same engine has its own process ids."""
    assert not is_orphan(owner)


@pytest.mark.parametrize("words", [["images", "build"], ["images", "list"]])
def test_without_an_engine_the_message_says_how_to_get_one(words: list[str]):
    """The command ends with an error, exit code 1, and no traceback."""
    ran = subprocess.run([BIN / "cryo-harness", *words], env=NO_ENGINE, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "no Docker engine answers" in ran.stderr
    assert "apt-get install docker.io" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_test_that_needs_an_engine_is_skipped_with_the_reason_and_fails_under_ci(tmp_path: Path):
    """Without an engine the test is skipped, and with CI=true it fails; it never passes."""
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


@pytest.fixture
def engine() -> Iterator[Any]:
    """A client of the engine."""
    opened = client()
    yield opened
    opened.close()


def owned_by(engine: Any, owner: str) -> tuple[list[Any], list[Any]]:
    labelled = {"label": f"{OWNER_LABEL}={owner}"}
    return engine.containers.list(all=True, filters=labelled), engine.networks.list(filters=labelled)


@pytest.mark.docker
def test_a_session_has_labels_publishes_on_loopback_and_is_removed(engine: Any, tmp_path: Path):
    """MinIO listens only on 127.0.0.1, is on its session's network, has its owner's label, and is removed."""
    with session(tmp_path) as begun:
        server = shared_minio(begun)
        assert shared_minio(Session(begun.owner, tmp_path)) == server, "a second request returns the same server"
        (container,), (network,) = owned_by(engine, begun.owner)
        assert list(container.attrs["NetworkSettings"]["Networks"]) == [network.name]
        bindings = [binding for port in container.ports.values() for binding in port or []]
        assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}
        assert server.url.endswith(bindings[0]["HostPort"])
        assert (tmp_path / "containers-minio.json").stat().st_mode & 0o077 == 0, "it contains keys"
    assert owned_by(engine, begun.owner) == ([], [])


STARTS_AND_WAITS = """
import pathlib, sys
from harness.containers.anvil import shared_anvil
from harness.containers.session import session
with session(pathlib.Path(sys.argv[1])) as begun:
    shared_anvil(begun)
    print(begun.owner, flush=True)
    sys.stdin.read()
"""


@pytest.mark.docker
def test_the_next_run_removes_what_a_killed_run_left(engine: Any, tmp_path: Path):
    """After SIGKILL container and network remain; the next run removes both, and nothing of a live owner."""
    command = [sys.executable, "-c", STARTS_AND_WAITS, str(tmp_path)]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) as run:
        owner = run.stdout.readline().strip()
        reap(engine)
        assert [len(kind) for kind in owned_by(engine, owner)] == [1, 1]
        run.kill()
    assert is_orphan(owner)
    reap(engine)
    assert owned_by(engine, owner) == ([], [])


SHARES = """
import pytest
@pytest.mark.docker
@pytest.mark.parametrize("turn", range(4))
def test_it(turn, minio, cryo_containers, worker_id):
    '''Prints the URL of its MinIO, and the owner.'''
    print(f"\\nMINIO {minio.url} {cryo_containers.owner}")
    assert turn < 3
"""


@pytest.mark.docker
def test_the_processes_of_a_session_share_a_server_and_a_failed_test_shows_its_log(engine: Any, tmp_path: Path):
    """Under xdist all processes share one MinIO, which the controller removes; reports have its last log lines."""
    root = Path(__file__).resolve().parents[3]
    (tmp_path / "test_shares.py").write_text(SHARES)
    command = [BIN / "pytest", "-p", "no:cacheprovider", "-c", root / "pyproject.toml", "--rootdir", root, "-rA", "-n2"]
    command += ["--confcutdir", tmp_path, "--basetemp", tmp_path / "base", tmp_path / "test_shares.py"]
    environment = os.environ | {"PYTHONPATH": str(root)}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "1 failed, 3 passed" in ran.stdout, ran.stdout + ran.stderr
    servers = set(re.findall(r"^MINIO (\S+) (\S+)$", ran.stdout, flags=re.MULTILINE))
    assert len(servers) == 1
    assert "MinIO Object Storage Server" in ran.stdout
    assert owned_by(engine, servers.pop()[1]) == ([], [])


@pytest.mark.docker
def test_an_error_while_a_container_runs_has_its_log(tmp_path: Path):
    """A test that fails while its container runs shows the output of the container."""
    with session(tmp_path) as begun, pytest.raises(AssertionError) as caught, anvil_container(begun, "anvil-of-mine"):
        raise AssertionError
    assert "Block Number: " in "".join(caught.value.__notes__)
