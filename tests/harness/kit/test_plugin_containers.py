"""The plugin's containers: one of each kind for all processes of a session, and none after it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.containers.engine import client
from harness.containers.reaper import OWNER_LABEL

PROJECT = """
import json
import urllib.request
from pathlib import Path

import pytest


@pytest.mark.parametrize("turn", range(4))
def test_each_test_has_its_own_bucket(minio, turn):
    bucket = minio.make_bucket()
    assert bucket.contents() == {}
    with Path("urls").open("a") as file:
        file.write(minio.url + "\\n")


@pytest.mark.parametrize("turn", range(4))
def test_a_node_with_blocks(anvil, turn):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}).encode()
    asked = urllib.request.Request(anvil.url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked) as answer:
        assert int(json.load(answer)["result"], 16) >= 100
    with Path("nodes").open("a") as file:
        file.write(anvil.url + "\\n")
"""


def ours() -> set[str]:
    """Return the sessions that have containers of the plugin."""
    engine = client()
    try:
        found = engine.containers.list(all=True, filters={"label": OWNER_LABEL})
        return {one.labels[OWNER_LABEL] for one in found if one.labels[OWNER_LABEL].endswith(":pytest")}
    finally:
        engine.close()


@pytest.mark.docker
def test_all_processes_share_one_minio_and_one_anvil_until_the_session_ends(tmp_path: Path):
    """Under `-n 2` all tests have the same servers, each its own bucket; afterwards no container is left."""
    (tmp_path / "test_mine.py").write_text(PROJECT)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    before = ours()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-n", "2"]
    ended = subprocess.run(command, cwd=tmp_path, env=own, check=False, text=True, capture_output=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "8 passed" in ended.stdout
    for name in ("urls", "nodes"):
        urls = (tmp_path / name).read_text().split()
        assert len(urls) == 4
        assert len(set(urls)) == 1
    assert ours() <= before
