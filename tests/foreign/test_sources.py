"""The Go worker's sources: formatted, vetted, their unit tests green, every bug's patch fitting."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from foreign.build import OFFLINE, SOURCES, binary, bugs


def told(*command: str) -> str:
    """Run a tool on the sources and return what it says; no message means that nothing is wrong."""
    done = subprocess.run(command, cwd=SOURCES, env=os.environ | OFFLINE, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 and not done.stdout else done.stdout + done.stderr


def test_sources_are_formatted_and_vetted(compiler: str):
    """Nothing is left for gofmt and go vet to say."""
    gofmt = shutil.which("gofmt") or str(Path(compiler).resolve().parent / "gofmt")
    assert told(gofmt, "-l", ".") == ""
    assert told(compiler, "vet", ".") == ""


def test_unit_tests_in_go(compiler: str):
    """The worker's own unit tests pass."""
    done = told(compiler, "test", ".")
    assert done.startswith("ok"), done


@pytest.mark.parametrize("bug", bugs())
def test_each_bug_still_fits(bug: str, compiler: str):
    """A broken copy compiles, and is another binary than the honest one."""
    assert compiler
    assert binary(bug).read_bytes() != binary().read_bytes()
