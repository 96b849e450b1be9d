"""Processes that a worker leaves behind are found and killed, even if they detached."""

import os
import subprocess
import sys

from harness.runner.processes import Watch
from harness.runner.recorder import Recorder

DAEMON = """
import os
until_exec, write_end = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for stream in (0, 1, 2):
            os.close(stream)
        os.execvp("sleep", ["sleep", "4321"])
    os._exit(0)
os.close(write_end)
os.read(until_exec, 1)
os.wait()
"""


def test_a_daemon_is_found_by_its_environment_and_killed():
    """A child that left its parent and its session is found by a mark in its environment, and killed at the end."""
    mark = f"world-{os.getpid()}"
    with Watch(Recorder()) as watch:
        subprocess.run([sys.executable, "-c", DAEMON], env={"PATH": os.environ["PATH"], "MARK": mark}, check=True)
        watch.find_detached(["another world", mark])
        assert watch.survivors() == ("sleep 4321",)
    while watch.survivors():
        os.sched_yield()
