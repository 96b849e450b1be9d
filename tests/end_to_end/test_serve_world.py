"""`cryo-harness serve world` and `serve dispatcher`: what they print is all that is needed to run the worker there."""

import json
import os
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.worker import BIN, PAYLOAD

from harness.containers.engine import client
from harness.containers.reaper import OWNER_LABEL

WORLDS = [
    pytest.param(("--real", "--docker"), 305, marks=[pytest.mark.docker, pytest.mark.real_cryo]),
    pytest.param(("--real", "--no-docker"), 305, marks=pytest.mark.real_cryo),
    pytest.param((), 5001),
]


@contextmanager
def served(*words: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Start `cryo-harness serve …`, yield it and what it printed, and end it."""
    command = [BIN / "cryo-harness", "serve", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip()]
        last = {"world": "# echo", "dispatcher": "# POST", "s3": "# nothing"}[words[0]]
        while not lines[-1].startswith(last):
            lines.append(process.stdout.readline().strip())
            assert lines[-1], "it ended before it had told everything"
        try:
            yield process, lines
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


@pytest.mark.parametrize(("words", "end"), WORLDS)
def test_the_printed_environment_and_command_publish_and_sigterm_ends_all(
    words: tuple[str, ...], end: int, tmp_path: Path
):
    """The first line is the node's URL, the exports and the command work as they stand, nothing is left afterwards."""
    with served("world", *words) as (world, lines):
        # The last line is the command to try, as a comment so that the whole can be sourced.
        script = "\n".join([*lines[1:-1], lines[-1].removeprefix("# ")])
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", lines[0])
        assert f"TRACE_RPC_POOL_LOCAL_URL={lines[0]}\n" in script
        for name in ("DISPATCHER_URL", "TRACE_WORKER_TOKEN", "TASK_WAKEUP_QUEUE", "SQS_ENDPOINT"):
            assert f"export {name}=" in script
        ran = subprocess.run(
            ["/bin/sh", "-euc", script],
            env={"PATH": f"{BIN}:{os.environ['PATH']}", "TRACE_CRYO_STAGING_ROOT": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["range_end"] == end
    assert world.returncode == 0
    assert left_by(world.pid, *words) == []


def test_a_dispatcher_by_hand_takes_tasks_from_a_file_and_from_anyone(tmp_path: Path):
    """`serve dispatcher`: its URL first, then the exports; what is POSTed is a task, what became of it can be read."""
    (tmp_path / "tasks.jsonl").write_text('{"chain_id": 1}\n')
    with served("dispatcher", "--tasks", str(tmp_path / "tasks.jsonl"), "--form", "lite") as (process, lines):
        tasks = f"{lines[0]}/harness/tasks"
        assert process.stderr is not None
        assert process.stderr.readline().startswith("task "), "the file's tasks are entered"
        with urllib.request.urlopen(tasks, data=b'{"chain_id": 2}') as answer:
            entered = json.load(answer)["task_id"]
        with urllib.request.urlopen(tasks) as answer:
            told = json.load(answer)
    assert [task["status"] for task in told] == ["queued", "queued"]
    assert told[1]["task_id"] == entered
    assert any(line.startswith("export TASK_WAKEUP_QUEUE=http://127.0.0.1:") for line in lines)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["world", "--docker"], "--docker"),
        (["dispatcher", "--form", "heavy"], "--form"),
        (["dispatcher", "--tasks", "/nonexistent"], "--tasks"),
        (["dispatcher", "--tasks", __file__], "line 1 is not a JSON object"),
    ],
)
def test_a_mistake_is_told_by_its_option(words: list[str], message: str):
    """Exit 64 for usage, the option named."""
    ran = subprocess.run([BIN / "cryo-harness", "serve", *words], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (64, "")
    assert message in ran.stderr


def test_a_port_that_is_taken_is_told():
    """Exit 1, the port named; nothing is left behind."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [BIN / "cryo-harness", "serve", "dispatcher", "--port", port]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert f"can't listen on port {port}" in ran.stderr


def left_by(pid: int, *words: str) -> list[str]:
    """List the containers, or the processes, that a world left."""
    if "--docker" in words:
        engine = client()
        try:
            owned = engine.containers.list(all=True, filters={"label": OWNER_LABEL})
            return [one.name for one in owned if f"/{pid}:" in one.labels[OWNER_LABEL]]
        finally:
            engine.close()
    listed = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if line.split()[0] == str(pid)]


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


def test_serve_s3_prints_its_url_first_and_an_environment_to_publish_with(tmp_path: Path):
    """The URL is the first line; what is exported publishes, and nothing listens there after SIGTERM."""
    with served("s3", "--bucket", "by-hand") as (_, lines):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", lines[0])
        task = json.dumps(PAYLOAD | {"range_start": 0, "range_end": 10})
        ran = subprocess.run(
            ["/bin/sh", "-euc", "\n".join([*lines[1:], "cryo-ingest run -"])],
            input=task,
            env={"PATH": f"{BIN}:{os.environ['PATH']}", "TRACE_CRYO_STAGING_ROOT": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout)["storage_ref"]["bucket"] == "by-hand"
    host, _, port = lines[0].removeprefix("http://").partition(":")
    with socket.socket() as probe:
        assert probe.connect_ex((host, int(port))) != 0


def test_the_environment_of_a_world_can_be_sourced(tmp_path: Path):
    """`--env FILE` has the lines to export, and nothing else, such as the node's URL of the first line."""
    with served("world", "--env", str(tmp_path / "world.env")) as (_, lines):
        shell = f'. {tmp_path}/world.env && echo "$TRACE_RPC_POOL_LOCAL_URL"'
        assert subprocess.check_output(["sh", "-euc", shell], text=True).strip() == lines[0]


@pytest.mark.parametrize("text", ["{}", "[1]", "nope", '[{"do": "statu"}]', "[" * 100_000])
def test_a_bad_file_of_faults_is_a_usage_error(text: str, tmp_path: Path):
    """`serve rpc --faults` names the option and the problem; there is no traceback."""
    (tmp_path / "faults.json").write_text(text)
    command = [BIN / "cryo-harness", "serve", "rpc", "--chain-id", "1", "--faults", tmp_path / "faults.json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 64
    assert "Invalid value for --faults" in ended.stderr
    assert "Traceback" not in ended.stderr
