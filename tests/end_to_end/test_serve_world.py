"""`cryo-harness serve world --real`: what it prints is all that is needed to run the worker on a real node."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from support.worker import BIN

from harness.containers.engine import client
from harness.containers.reaper import OWNER_LABEL


@pytest.mark.real_cryo
@pytest.mark.parametrize("where", [pytest.param("--docker", marks=pytest.mark.docker), "--no-docker"])
def test_the_printed_environment_and_command_publish_and_sigterm_ends_all(where: str, tmp_path: Path):
    """The first line is the node's URL, the exports and the command work as they stand, nothing is left afterwards."""
    command = [BIN / "cryo-harness", "serve", "world", "--real", where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as world:
        assert world.stdout is not None
        lines = []
        while not lines or not lines[-1].startswith("# echo"):
            lines.append(world.stdout.readline())
            assert lines[-1], "it ended before it had told everything"
        url = lines[0].strip()
        # The last line is the command to try, as a comment so that the whole can be sourced.
        script = "".join(lines[1:-1]) + lines[-1].removeprefix("# ")
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        assert f"TRACE_RPC_POOL_LOCAL_URL={url}\n" in script
        ran = subprocess.run(
            ["/bin/sh", "-euc", script],
            env={"PATH": f"{BIN}:{os.environ['PATH']}", "TRACE_CRYO_STAGING_ROOT": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        world.send_signal(signal.SIGTERM)
        world.communicate(timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["range_end"] == 305
    assert world.returncode == 0
    assert left_by(world.pid, where) == []


def left_by(pid: int, where: str) -> list[str]:
    """List the containers, or the processes, that a world left."""
    if where == "--docker":
        engine = client()
        try:
            owned = engine.containers.list(all=True, filters={"label": OWNER_LABEL})
            return [one.name for one in owned if f"/{pid}:" in one.labels[OWNER_LABEL]]
        finally:
            engine.close()
    listed = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if line.split()[0] == str(pid)]


def test_the_world_that_is_not_there_yet_is_a_usage_error():
    """Without `--real` there is no world yet: exit 2, and it says so."""
    ran = subprocess.run([BIN / "cryo-harness", "serve", "world"], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "--real" in ran.stderr


def test_without_an_engine_a_world_in_containers_is_refused_with_what_would_help():
    """Exit 1 and how to get an engine; asked for in containers, it is not started otherwise."""
    ran = subprocess.run(
        [BIN / "cryo-harness", "serve", "world", "--real", "--docker"],
        env={"PATH": os.environ["PATH"], "DOCKER_HOST": "unix:///nonexistent/docker.sock"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "apt-get install docker.io" in ran.stderr
