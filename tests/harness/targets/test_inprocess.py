"""A Python function as a worker: its arguments, and how its attempt ends."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.targets import find

MODULE = """
class Fatal(Exception):
    exit_code = 69

async def good(payload, environment, *, store, task_id, attempt):
    return {"payload": payload, "set": environment["SET"], "store": store, "task_id": task_id, "attempt": attempt}

def fatal(payload, environment, **options):
    raise Fatal("no")

def crash(payload, environment, **options):
    raise KeyError("oh")
"""


@pytest.mark.parametrize(
    ("function", "code", "said"),
    [("good", 0, ""), ("fatal", 69, "Fatal: no"), ("crash", 75, "KeyError"), ("absent", 78, "has no function absent")],
)
def test_a_function_is_a_worker(function: str, code: int, said: str, tmp_path: Path):
    """Its result is the publication; the `exit_code` of its exception is that of the process."""
    (tmp_path / "mine.py").write_text(MODULE)
    target = find(f"py:mine:{function}")
    assert target.command[0] == sys.executable
    words = target.command_line(tmp_path, {}, {"store": "s3://b", "task_id": "t", "attempt": "2"}, tmp_path / "id")
    ended = subprocess.run(
        words, cwd=tmp_path, env={"SET": "yes"}, input="{}", text=True, capture_output=True, check=False
    )
    assert ended.returncode == code, ended.stderr
    assert said in ended.stderr
    wanted = {"payload": "{}", "set": "yes", "store": "s3://b", "task_id": "t", "attempt": 2}
    assert [json.loads(line) for line in ended.stdout.splitlines()] == ([] if code else [wanted])
