"""A run that is told to end ends all that it has started."""

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
def test_a_signal_ends_the_workers_and_their_cryo_too(number: signal.Signals, tmp_path: Path):
    """Exit code 130, and neither a process of the run's is left nor its folder."""
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
