"""What a worker leaves behind is found and ended, however it got away."""

import os
import subprocess
import sys

from harness.runner.processes import Watch
from harness.runner.recorder import Recorder

DAEMON = """
import os
until_exec, told = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for stream in (0, 1, 2):
            os.close(stream)
        os.execvp("sleep", ["sleep", "4321"])
    os._exit(0)
os.close(told)
os.read(until_exec, 1)
os.wait()
"""


def test_a_daemon_is_known_by_its_environment_and_ended():
    """A child that has left its parent and its session is noted by a mark, and killed at the end."""
    mark = f"world-{os.getpid()}"
    with Watch(Recorder()) as watch:
        subprocess.run([sys.executable, "-c", DAEMON], env={"PATH": os.environ["PATH"], "MARK": mark}, check=True)
        watch.adopt(["another world", mark])
        assert watch.survivors() == ("sleep 4321",)
    while watch.survivors():
        os.sched_yield()
