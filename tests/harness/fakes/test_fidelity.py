"""Real Cryo proves the fakes: it reads the fake endpoint and writes what `fake-cryo` writes, row for row."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harness.fakes.rpc.methods import Node
from harness.fakes.rpc.server import RpcPool
from harness.world.chain import Chain
from harness.world.tables import TABLES

BIN = Path(sys.executable).parent
GOLDEN = Path(__file__).resolve().parents[3] / "fixtures" / "golden"

RANGES = {
    "genesis": (0, 30),
    "a chunk boundary and a partial last chunk": (150, 1350),
    "no transactions": (4000, 4050),
    "past eight digits": (99_999_995, 100_000_015),
}
CHAINS = {"mainnet": Chain(1), "unknown to Cryo": Chain(31337, seed=7)}


def run(program: str, folder: Path, words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a Cryo in a folder and return what came of it."""
    folder.mkdir()
    variables = {"PATH": os.environ["PATH"]} | environment
    return subprocess.run(
        [BIN / program, *words], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )


def form(path: Path) -> list[object]:
    """Return what a file's footer says of its form."""
    metadata = pq.read_metadata(path)
    columns = (
        [] if not metadata.num_row_groups else [metadata.row_group(0).column(i) for i in range(metadata.num_columns)]
    )
    described = [metadata.schema.column(i) for i in range(metadata.num_columns)]
    return [
        metadata.num_row_groups,
        metadata.format_version,
        [(c.name, c.physical_type, str(c.logical_type), c.max_definition_level) for c in described],
        sorted({c.compression for c in columns}),
    ]


@pytest.mark.real_cryo
@pytest.mark.parametrize("dataset", sorted(TABLES))
@pytest.mark.parametrize("span", RANGES)
@pytest.mark.parametrize("name", CHAINS)
def test_real_cryo_and_the_fake_write_the_same_rows(dataset: str, span: str, name: str, tmp_path: Path):
    """Same file names, same schema, same rows in the same order, same form; with an endpoint neither bears a mark."""
    start, end = RANGES[span]
    chain = CHAINS[name]
    words = [dataset, "--blocks", f"{start}:{end}", "--no-report"]
    with RpcPool(Node(chain, head=100_000_100)) as pool:
        environment = {"ETH_RPC_URL": pool.url}
        real = run("cryo-from-wheel", tmp_path / "real", words, environment)
        fake = run("fake-cryo", tmp_path / "fake", words, environment)
    assert (real.returncode, fake.returncode) == (0, 0), real.stdout + real.stderr + fake.stdout + fake.stderr
    names = sorted(path.name for path in (tmp_path / "real").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "fake").iterdir())
    for file in names:
        left, right = pq.read_table(tmp_path / "real" / file), pq.read_table(tmp_path / "fake" / file)
        assert left.schema.remove_metadata() == right.schema.remove_metadata()
        assert left.equals(right)
        assert form(tmp_path / "real" / file) == form(tmp_path / "fake" / file)
        assert b"cryo_ingest.fake" not in (right.schema.metadata or {})


@pytest.mark.parametrize("dataset", sorted(TABLES))
def test_mod_2_and_5_fake_files_have_the_golden_form_the_mark_and_the_same_bytes_each_time(
    dataset: str, tmp_path: Path
):
    """MOD-2, MOD-5: without an endpoint the files are marked, byte-stable, and in form as real Cryo's golden ones."""
    environment = {"FAKE_CRYO_CHAIN_ID": "31337"}
    for attempt in ("one", "two"):
        words = [dataset, "--blocks", "3990:4010", "--no-report"]
        assert run("fake-cryo", tmp_path / attempt, words, environment).returncode == 0
    (file,) = (tmp_path / "one").iterdir()
    assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
    assert pq.read_metadata(file).metadata[b"cryo_ingest.fake"] == b"true"
    assert form(file) == form(GOLDEN / dataset / "full.parquet")
    words = [dataset, "--blocks", "4000:4010", "--no-report"]
    run("fake-cryo", tmp_path / "quiet", words, environment)
    (file,) = (tmp_path / "quiet").iterdir()
    golden = "full.parquet" if dataset == "blocks" else "empty.parquet"
    assert form(file) == form(GOLDEN / dataset / golden)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--version"], 0, "cryo 0.3.2"),
        (["nonsense", "-b", "0:1"], 1, "no datatype matches input: nonsense"),
        (["blocks", "-b", "5:5"], 1, "end_block should not be less than start_block"),
        (["blocks", "-b", "0:1", "--align"], 2, "--align"),
        (["blocks", "-b", "1K:2K"], 2, "1K:2K"),
        (["traces", "-b", "0:1"], 2, "does not model the dataset traces"),
        (["blocks"], 2, "-b"),
        (["blocks", "-b", "0:1", "-r", "127.0.0.1:1/k3y"], 1, "could not connect"),
    ],
)
def test_what_the_fake_does_not_model_it_refuses_by_name(words: list[str], code: int, said: str, tmp_path: Path):
    """Nothing is ignored: Cryo's own errors end with 1, what is not modelled with 2, and nothing is written."""
    result = run("fake-cryo", tmp_path / "out", words, {"FAKE_CRYO_CHAIN_ID": "1"})
    assert result.returncode == code
    assert said in result.stdout + result.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_the_fake_skips_what_is_there_and_writes_a_report(tmp_path: Path):
    """As the real one: an existing file, whatever it holds, is skipped; `--overwrite` writes it again."""
    environment = {"FAKE_CRYO_CHAIN_ID": "1"}
    words = ["blocks", "-b", "0:1500"]
    run("fake-cryo", tmp_path / "out", words, environment)
    first, _ = sorted((tmp_path / "out").glob("*.parquet"))
    assert len(list((tmp_path / "out" / ".cryo" / "reports").iterdir())) == 1
    first.write_bytes(b"")
    variables = {"PATH": os.environ["PATH"]} | environment
    for extra, size in (([], 0), (["--overwrite"], None)):
        subprocess.run([BIN / "fake-cryo", *words, *extra], cwd=tmp_path / "out", env=variables, check=True,
                       capture_output=True)  # fmt: skip
        assert (first.stat().st_size == 0) is (size == 0)
