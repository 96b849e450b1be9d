"""A small `make soak`: workers killed and restarted by a schedule, every wake-up sent twice."""

import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).resolve().parents[2] / "scripts" / "soak.py"


def test_pub_6_whatever_is_killed_every_version_is_registered_once_and_every_prefix_is_exact():
    """PUB-6, LAY-6, STG-5, STG-8: nothing is lost, doubled or left behind."""
    options = ["--tasks", "10", "--signals", "3", "--seed", "1"]
    ran = subprocess.run([sys.executable, SOAK, *options], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "SIGKILL" in ran.stdout, "nothing was struck"
