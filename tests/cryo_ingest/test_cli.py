"""How the command line ends its process."""

import subprocess
import sys

import pytest

WATCHED = """
import atexit, sys
from cryo_ingest.cli import main
atexit.register(print, "finalized")
sys.argv = ["cryo-ingest", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize(("words", "code"), [(["--help"], 0), (["--no-such-option"], 64)])
def test_out_2_the_exit_code_is_told_without_finalizing_the_interpreter(words: list[str], code: int):
    """OUT-2: obstore's threads can abort an interpreter that is being finalized, and the exit code would be lost."""
    done = subprocess.run([sys.executable, "-c", WATCHED, *words], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "finalized" not in done.stdout
    assert "cryo-ingest" in done.stdout + done.stderr
