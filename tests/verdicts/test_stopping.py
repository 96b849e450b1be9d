"""A run that gets a signal stops everything that it started."""

import signal
import subprocess
from pathlib import Path

import pytest
from support.processes import command_lines, descendants
from support.service import until
from support.worker import BIN

HANGS = """
title = "Cryo hangs"
clauses = ["OUT-3"]
cryo_faults = [{ do = "hang", when = "before" }]
[[tasks]]
outcome = "retryable_error"
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_also_ends_the_workers_and_their_cryo(number: signal.Signals, tmp_path: Path):
    """The exit code is 130, and no process and no folder of the run is left."""
    (tmp_path / "hangs.toml").write_text(HANGS)
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    command = [BIN / "cryo-harness", "run", tmp_path / "hangs.toml"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
        found: dict[int, bytes] = {}

        def cryo_runs() -> bool:
            found.update(descendants(run.pid))
            return any(b"fake-cryo\0blocks" in words for words in found.values())

        try:
            until(cryo_runs)
        finally:
            run.send_signal(number)
            run.communicate()
    assert run.returncode == 130
    assert {pid: words for pid, words in command_lines().items() if found.get(pid) == words} == {}
    assert list(tmp_path.glob("harness-*")) == []
