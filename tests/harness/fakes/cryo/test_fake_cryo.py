"""`fake-cryo` as an executable: names, chunks, schemas, exit codes, the mark."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harness.fakes.rpc import Node, RpcPool
from harness.world.chain import Chain
from harness.world.tables import ROWS, build

BIN = Path(sys.executable).parent
GOLDEN = Path(__file__).resolve().parents[4] / "fixtures" / "golden"
OFFLINE = {"FAKE_CRYO_CHAIN_ID": "1"}


def run(*arguments: str, directory: Path, environment: dict[str, str] = OFFLINE):
    """Run fake Cryo into a directory."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ETH_RPC", "FAKE_CRYO", "MESC"))}
    command = [BIN / "fake-cryo", *arguments, "--output-dir", directory]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=clean | environment)


def names(directory: Path) -> list[str]:
    """List the Parquet files of a directory."""
    return sorted(path.name for path in directory.glob("*.parquet"))


@pytest.mark.parametrize("dataset", sorted(ROWS))
def test_files_have_the_names_chunks_and_rows_of_real_cryo(dataset: str, tmp_path: Path):
    """Chunks start at the range's start; each file is named after its inclusive blocks and has the chain's rows."""
    ended = run(dataset, "--blocks", "950:1150", "--chunk-size", "120", directory=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    stems = [f"ethereum__{dataset}__00000950_to_00001069", f"ethereum__{dataset}__00001070_to_00001149"]
    assert names(tmp_path) == [f"{stem}.parquet" for stem in stems]
    for stem, blocks in zip(stems, (range(950, 1070), range(1070, 1150)), strict=True):
        expected = build(Chain(1), dataset, blocks)
        assert pq.read_table(tmp_path / f"{stem}.parquet").equals(expected)


@pytest.mark.parametrize("dataset", sorted(set(ROWS) - {"blocks"}))
def test_an_empty_result_is_a_file_without_row_groups(dataset: str, tmp_path: Path):
    """Blocks without transactions give a file with the complete schema, without rows and row groups, as in Cryo."""
    assert run(dataset, "--blocks", "1104:1120", directory=tmp_path).returncode == 0
    (path,) = tmp_path.glob("*.parquet")
    footer, golden = pq.read_metadata(path), pq.read_metadata(GOLDEN / dataset / "empty.parquet")
    assert (footer.num_rows, footer.num_row_groups) == (golden.num_rows, golden.num_row_groups) == (0, 0)


@pytest.mark.parametrize("dataset", sorted(ROWS))
def test_footers_have_the_format_of_the_golden_files(dataset: str, tmp_path: Path):
    """Row groups, codec, physical and logical types, repetition and format version are those of real Cryo."""
    assert run(dataset, "--blocks", "100:160", directory=tmp_path).returncode == 0
    (path,) = tmp_path.glob("*.parquet")
    footer, golden = pq.read_metadata(path), pq.read_metadata(GOLDEN / dataset / "full.parquet")
    assert (footer.num_row_groups, footer.format_version) == (1, golden.format_version)
    for place in range(footer.num_columns):
        ours, theirs = footer.schema.column(place), golden.schema.column(place)
        assert (ours.name, ours.physical_type, ours.logical_type.to_json()) == (
            theirs.name,
            theirs.physical_type,
            theirs.logical_type.to_json(),
        )
        assert ours.max_definition_level == theirs.max_definition_level == 1
        assert footer.row_group(0).column(place).compression == golden.row_group(0).column(place).compression


def test_mod_2_output_is_deterministic(tmp_path: Path):
    """MOD-2: the same command line writes the same bytes."""
    digests = []
    for attempt in ("one", "two"):
        assert run("transactions", "--blocks", "100:130", directory=tmp_path / attempt).returncode == 0
        (path,) = (tmp_path / attempt).glob("*.parquet")
        digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
    assert digests[0] == digests[1]


def test_mod_5_data_without_an_endpoint_is_marked(tmp_path: Path):
    """MOD-5: without an endpoint the key-value metadata marks the data as fake, with one it does not."""
    assert run("blocks", "--blocks", "5:8", directory=tmp_path / "offline").returncode == 0
    with RpcPool(Node(Chain(1, seed=9))) as pool:
        live = {"ETH_RPC_URL": pool.url.replace("//", "//user:secret@") + "/v2/key?token=abc"}
        ended = run("blocks", "--blocks", "5:8", directory=tmp_path / "online", environment=live)
        assert ended.returncode == 0
        asked = [call.method for call in pool.journal]
        assert asked == ["harness_started", "eth_chainId", "harness_script", "harness_wrote"]
    (offline,) = (tmp_path / "offline").glob("*.parquet")
    (online,) = (tmp_path / "online").glob("*.parquet")
    assert pq.read_metadata(offline).metadata[b"cryo_ingest.fake"] == b"true"
    assert b"cryo_ingest.fake" not in pq.read_metadata(online).metadata
    assert pq.read_table(online).equals(build(Chain(1, seed=9), "blocks", range(5, 8)))


def test_it_reports_as_cryo_does(tmp_path: Path):
    """A run leaves one final report with the paths and arguments, and no incomplete report."""
    run("logs", "--blocks", "0:30", "--chunk-size", "20", directory=tmp_path)
    (report,) = (tmp_path / ".cryo" / "reports").iterdir()
    content = json.loads(report.read_text(encoding="utf-8"))
    assert set(content) == {"cryo_version", "cli_command", "results", "args"}
    assert [Path(path).name for path in content["results"]["completed_paths"]] == names(tmp_path)
    assert json.loads(content["args"])["chunk_size"] == 20


def test_existing_files_are_skipped_without_being_read(tmp_path: Path):
    """An existing file is skipped whatever its content, and replaced with `--overwrite`."""
    path = tmp_path / "ethereum__blocks__00000005_to_00000007.parquet"
    path.write_bytes(b"")
    assert run("blocks", "--blocks", "5:8", directory=tmp_path).returncode == 0
    assert path.read_bytes() == b""
    assert not (tmp_path / ".cryo").exists()
    assert run("blocks", "--blocks", "5:8", "--overwrite", directory=tmp_path).returncode == 0
    assert pq.read_table(path).num_rows == 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["blocks", "--blocks", "5:5"], 1, "end_block should not be less than start_block"),
        (["blox", "--blocks", "5:6"], 1, "no datatype matches input: blox"),
        (["balances", "--blocks", "5:6"], 1, "need to specify address"),
        (["blocks", "--blocks", "5:6", "--compression", "zstd"], 1, "Missing compression level"),
        (["blocks", "--blocks", "5:6", "--nope"], 2, "unexpected argument '--nope' found"),
        (["blocks", "--blocks", "5:6", "--chunk-size", "x"], 2, "invalid digit found in string"),
        (["blocks", "--blocks", "5:6", "--csv"], 2, "does not model --csv"),
        (["blocks", "logs", "--blocks", "5:6"], 2, "one dataset at a time"),
    ],
)
def test_errors_have_the_exit_codes_and_messages_of_cryo(arguments: list[str], code: int, words: str, tmp_path: Path):
    """Errors of Cryo have its exit code and message; an option that is not modelled has exit code 2 and is named."""
    ended = run(*arguments, directory=tmp_path)
    assert ended.returncode == code
    assert words in (ended.stdout if code == 1 else ended.stderr)
    assert not names(tmp_path)


def test_without_a_chain_the_error_says_what_is_missing(tmp_path: Path):
    """With neither an endpoint nor FAKE_CRYO_CHAIN_ID it ends as Cryo does without an endpoint."""
    ended = run("blocks", "--blocks", "5:6", directory=tmp_path, environment={})
    assert ended.returncode == 1
    assert "must provide --rpc" in ended.stdout
