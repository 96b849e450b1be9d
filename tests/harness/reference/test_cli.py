"""The reference worker's commands check their environment first."""

import os
import subprocess
import sys
from pathlib import Path


def test_mod_1_a_service_without_a_dispatcher_ends_with_exit_code_78(tmp_path: Path):
    """MOD-1: the missing variable is named before the worker does anything."""
    done = subprocess.run(
        [sys.executable, "-m", "harness.reference", "worker"],
        env={"PATH": os.environ["PATH"], "TRACE_CRYO_STAGING_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 78
    assert "DISPATCHER_URL" in done.stderr
