"""`cryo-from-wheel`: Cryo's command line inside the wheel, with the exit codes of its main.rs."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from cryo_ingest.from_wheel import genuine_binary
from harness.fakes.rpc import Node, RpcPool
from harness.world.chain import Chain

BIN = Path(sys.executable).parent
real_cryo = pytest.mark.real_cryo
needs_wheel = pytest.mark.skipif(find_spec("cryo") is None, reason="this interpreter has no wheel of Cryo 0.3.2")


def run(*arguments: str, **environment: str):
    """Run the executable without any endpoint in the environment."""
    clean = {name: value for name, value in os.environ.items() if name != "ETH_RPC_URL"}
    command = [BIN / "cryo-from-wheel", *arguments]
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=False)


@real_cryo
@needs_wheel
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--version"], 0, "cryo 0.3.2"),
        (["help", "datasets"], 0, "cryo datasets"),
        (["blocks", "--blocks", "0:1"], 1, "failed"),
        (["blocks", "--nope"], 2, "unexpected argument '--nope'"),
    ],
)
def test_exit_codes_are_those_of_cryos_main(arguments: list[str], code: int, words: str):
    """Success is 0, an error before collecting 1, a usage error 2, each with Cryo's message."""
    ended = run(*arguments)
    assert ended.returncode == code
    assert words in ended.stdout + ended.stderr


@real_cryo
@needs_wheel
def test_arguments_are_passed_unchanged(tmp_path: Path):
    """Cryo's report lists the given arguments in order."""
    with RpcPool(Node(Chain(1))) as pool:
        ended = run("blocks", "--blocks", "5:9", "--label", "a-b", "-o", str(tmp_path), ETH_RPC_URL=pool.url)
        assert ended.returncode == 0
        assert (
            run("blocks", "-b", "5:9", "-o", str(tmp_path), "--n-chunks", "0", ETH_RPC_URL=pool.url).returncode == 101
        )
    (report,) = (tmp_path / ".cryo" / "reports").iterdir()
    arguments = json.loads(json.loads(report.read_text(encoding="utf-8"))["args"])
    assert (arguments["datatype"], arguments["blocks"], arguments["label"]) == (["blocks"], ["5:9"], "a-b")


@needs_wheel
def test_an_argument_with_white_space_is_rejected():
    """The wheel would split it, so it is named in an error with exit code 2."""
    ended = run("blocks", "--output-dir", "a b")
    assert ended.returncode == 2
    assert "'a b'" in ended.stderr


def test_without_the_wheel_the_extra_is_named():
    """Without the wheel the exit code is 127, and the message names the extra and the interpreter."""
    script = "import sys; sys.modules['cryo'] = None; from cryo_ingest.from_wheel import main; main()"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 127
    assert "pip install 'cryo==0.3.2'" in ended.stderr
    assert "CPython 3.11" in ended.stderr


@needs_wheel
def test_the_genuine_binary_is_found_without_loading_it():
    """The path is that of the wheel's extension module, and finding it imports nothing."""
    before = set(sys.modules)
    path = genuine_binary()
    assert path is not None
    assert path.name.startswith("_cryo_rust")
    assert path.stat().st_size > 1_000_000
    assert "cryo._cryo_rust" not in set(sys.modules) - before
