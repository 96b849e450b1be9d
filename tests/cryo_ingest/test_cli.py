"""How the command line ends its process and reports usage errors."""

import subprocess
import sys
from pathlib import Path

import pytest

WATCHED = """
import atexit, sys
from cryo_ingest.cli import main
atexit.register(print, "finalized")
sys.argv = ["cryo-ingest", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize(("words", "code"), [(["--help"], 0), (["--no-such-option"], 64)])
def test_out_2_the_process_exits_without_finalizing_the_interpreter(words: list[str], code: int):
    """OUT-2: obstore's threads can abort the process during finalization, which would replace the exit code."""
    done = subprocess.run([sys.executable, "-c", WATCHED, *words], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "finalized" not in done.stdout
    assert "cryo-ingest" in done.stdout + done.stderr


def test_pub_2_an_empty_store_is_a_usage_error(tmp_path: Path):
    """PUB-2: `--store ""` is not the bucket `None`, even without S3_BUCKET."""
    (tmp_path / "task.json").write_text("{}")
    command = [Path(sys.executable).parent / "cryo-ingest", "run", tmp_path / "task.json", "--store", ""]
    done = subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (64, "")
    assert "--store" in done.stderr
