"""Good, unusual and wrong command lines end alike with real and fake Cryo: exit code, files, report, messages."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.fakes.rpc import Node, RpcPool
from harness.world.chain import Chain

BIN = Path(sys.executable).parent

pytestmark = [
    pytest.mark.real_cryo,
    pytest.mark.skipif(find_spec("cryo") is None, reason="this interpreter has no wheel of Cryo 0.3.2"),
]

ALIKE = """
blocks -b 5:9
blocks --blocks 5:9
blocks --blocks=5:9
blocks -b5:9
blocks -b 100
blocks -b 100 200 300
blocks -b 100:103 200:203
blocks -b 1_00:1_03
blocks -b 0.1K:0.105K
blocks -b 200:300:25
blocks -b 1_000:1_003
blocks -b 100:200/5
blocks -b 15:+7
blocks -b=-5:100
blocks -b :7
blocks -b 490:
blocks -b 490:latest
blocks -b latest
blocks -b 0:25 -c 10
blocks -b 0:9 --n-chunks 4
blocks -b 0:9 --n-chunks 3
blocks -b 7:25 --chunk-size 10 --chunk-order reverse
blocks -b 0:5 --chunk-size 0
txs -b 13:14
events -b 13:14
logs -b 13:14 --inner-request-size 100
logs -b 0:30 --inner-request-size 7 -c 10
logs -b 80:96
traces -b 13:14
geth_calls -b 13:14
erc20_transfers -b 1:20
blocks -b 5:9 --network-name mine
blocks -b 5:9 --label two
blocks -b 5:9 --subdirs datatype
blocks -b 5:9 --subdirs network datatype
blocks -b 5:9 --subdirs datatype --label x
blocks -b 5:9 --compression uncompressed
blocks -b 5:9 --compression snappy
blocks -b 5:9 --compression gzip 3
blocks -b 5:9 --compression zstd 3
blocks -b 5:9 --compression brotli 3
blocks -b 5:9 --compression zstd
blocks -b 5:9 --compression zstd 99
blocks -b 5:9 --compression nonsense
blocks -b 5:9 --no-stats
blocks -b 5:29 --row-group-size 10
blocks -b 5:9 --no-report
blocks -b 5:9 --report-dir elsewhere
blocks -b 5:9 --dry
blocks -b 5:9 -v
blocks -b 5:9 --no-verbose
blocks -b 5:9 -v --no-verbose
blocks -b 5:9 --overwrite
blocks -b 5:9 -l 50
blocks -b 5:9 --max-concurrent-requests 5 --max-concurrent-chunks 1
blocks -b 5:9 --max-concurrent-chunks 0
blocks -b 5:9 --max-retries 2 --initial-backoff 5
-b 5:9 -- blocks
blocks -b 5:5
blocks -b 9:5
blocks -b x:y
blocks -b 5:6:7:8
blocks -b 5:x
blocks -b 5:9 --n-chunks 0
blocks -b 5:9 --chunk-order sideways
blox -b 5:9
balances -b 5:9
slots -b 5:9
trace_calls -b 5:9
blocks -b 495:505
transactions -b 495:505
logs -b 495:505
logs -b 480:505 -c 10
blocks -b 5:9 --nope
blocks -b 5:9 -x
blocks -b 5:9 --chunk-size x
blocks -b 5:9 --chunk-size -1
blocks -b 5:9 --chunk-size
blocks -b 5:9 --rpc
blocks -b
blocks -b 5:9 --dry --dry
blocks -b 5:9 --label a --label b
blocks -b 5:9 --dry=yes
--version
help
help datasets
""".strip().splitlines()

DIFFERENT = {
    "blocks -b 5:9 --csv": "the fake writes only Parquet",
    "blocks -b 5:9 --json": "the fake writes only Parquet",
    "blocks -b 5:9 --hex": "the fake has binary columns only",
    "blocks -b 5:9 -i parent_hash": "the fake has the default columns only",
    "blocks -b 5:9 -e author": "the fake has the default columns only",
    "blocks -b 5:9 --sort none": "the fake has only the default order",
    "transactions -b 13:14 --u256-types string": "the fake has only the three default forms",
    "blocks -b 0:450 --align -c 100": "Cryo's --align loses blocks; no worker may use it",
    "blocks -b 0:9 --reorg-buffer 3": "Cryo's --reorg-buffer drops chunks; no worker may use it",
    "blocks logs -b 5:9": "the fake extracts one dataset at a time",
    "state_diffs -b 5:9": "the fake extracts one dataset at a time",
    "blocks -b 5:9 --chunk-order random": "the fake never uses randomness",
    "logs -b 5:9 --address 0x0000000000000000000000000000000000000000": "the fake extracts only by range",
}


@pytest.fixture(scope="module")
def pool() -> Iterator[RpcPool]:
    """A chain with its head at block 500."""
    with RpcPool(Node(Chain(1), head=500)) as running:
        yield running


class Result:
    """The comparable results of one command line."""

    def __init__(self, program: str, words: str, folder: Path, url: str) -> None:
        folder.mkdir()
        environment = {"PATH": os.environ["PATH"], "ETH_RPC_URL": url}
        command = [BIN / program, *words.split()]
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        self.code = ended.returncode
        self.files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.parquet"))
        self.reports = [_shape(path, folder) for path in sorted(folder.rglob("*.json"))]
        self.message = _kind(ended.returncode, ended.stdout, ended.stderr)

    def __repr__(self) -> str:
        return repr(vars(self))


def _shape(path: Path, folder: Path) -> object:
    report = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(report, dict):
        return path.name  # what --json writes
    results = report["results"]
    paths = {
        name: sorted(str(Path(path).relative_to(folder.resolve())) for path in results[name])
        for name in ("completed_paths", "errored_paths")
    }
    name = re.sub(r"\d", "9", str(path.relative_to(folder)))
    return name, sorted(report), report["cryo_version"], paths, results["n_skipped"], json.loads(report["args"])


def _kind(code: int, stdout: str, stderr: str) -> object:
    """Return the comparable part of the messages: headings on stdout, error summaries, errors of clap."""
    if code == 2:
        return stderr.splitlines()[0]
    if code == 101:
        return "attempt to divide by zero" in stderr
    headings = ("cryo parameters", "schema for", "collecting data", "error summary", "collection summary", "dry run")
    # Before extraction Cryo prints only its error, which the wheel drops, so that only the stream is compared.
    errors = re.findall(r"^- (.* \(\d+x\))$", stdout, re.MULTILINE)
    # Which block past the head is named is random.
    plain = [re.sub(r"0x[0-9a-f]+|\d{3}", "N", error) for error in errors]
    return [heading for heading in headings if heading in stdout], plain


@pytest.mark.parametrize("words", ALIKE)
def test_fake_and_real_cryo_end_alike(words: str, tmp_path: Path, pool: RpcPool):
    """Exit code, file names, report and kind of message are the same."""
    real = Result("cryo-from-wheel", words, tmp_path / "real", pool.url)
    fake = Result("fake-cryo", words, tmp_path / "fake", pool.url)
    assert vars(fake) == vars(real)


@pytest.mark.parametrize("words", DIFFERENT)
def test_options_that_are_not_modelled_are_errors(words: str, tmp_path: Path, pool: RpcPool):
    """Fake Cryo rejects with exit code 2 what it does not model; real Cryo still supports it."""
    real = Result("cryo-from-wheel", words, tmp_path / "real", pool.url)
    fake = Result("fake-cryo", words, tmp_path / "fake", pool.url)
    assert (real.code, fake.code) == (0, 2)
    assert "fake-cryo" in str(fake.message)
