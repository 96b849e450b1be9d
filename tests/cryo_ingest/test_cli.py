"""How the command line ends its process."""

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
def test_out_2_the_exit_code_is_told_without_finalizing_the_interpreter(words: list[str], code: int):
    """OUT-2: obstore's threads can abort an interpreter that is being finalized, and the exit code would be lost."""
    done = subprocess.run([sys.executable, "-c", WATCHED, *words], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "finalized" not in done.stdout
    assert "cryo-ingest" in done.stdout + done.stderr


def test_an_empty_store_is_a_usage_error_and_never_a_bucket_named_none(tmp_path: Path):
    """PUB-2: `--store ""` is told as what it is, though no S3_BUCKET is set: nothing is published anywhere."""
    (tmp_path / "task.json").write_text("{}")
    command = [Path(sys.executable).parent / "cryo-ingest", "run", tmp_path / "task.json", "--store", ""]
    done = subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (64, "")
    assert "--store" in done.stderr
