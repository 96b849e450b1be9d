"""Real Cryo and fake Cryo on the fake pool extract the same files."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.containers.node import Anvil
from harness.fakes.rpc import Node, RpcPool
from harness.world.chain import EMPTY_RUN, Chain
from harness.world.quirks import Quirks
from harness.world.tables import ROWS, build, schema

BIN = Path(sys.executable).parent

pytestmark = [
    pytest.mark.real_cryo,
    pytest.mark.skipif(find_spec("cryo") is None, reason="this interpreter has no wheel of Cryo 0.3.2"),
]


@pytest.mark.parametrize("dataset", sorted(ROWS))
@pytest.mark.parametrize("blocks", [range(150), range(100_000_000, 100_000_060)], ids=["genesis", "high"])
def test_real_cryo_extracts_the_rows_of_the_chain(dataset: str, blocks: range, tmp_path: Path):
    """Real Cryo's file from the fake pool has the schema, the rows, their order and the name of the chain's table."""
    chain = Chain(chain_id=137, seed=11)
    with RpcPool(Node(chain)) as pool:
        command = [BIN / "cryo-from-wheel", dataset, "-b", f"{blocks.start}:{blocks.stop}", "-o", tmp_path]
        environment = os.environ | {"ETH_RPC_URL": pool.url}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout
    (path,) = tmp_path.glob("*.parquet")
    assert path.name == f"polygon__{dataset}__{blocks.start:08d}_to_{blocks.stop - 1:08d}.parquet"
    real, expected = pq.read_table(path), build(chain, dataset, blocks)
    assert real.schema.equals(expected.schema)
    if dataset.startswith("geth_") and dataset.endswith("_diffs"):
        # Cryo walks a hash set of accounts here, so the order within a transaction is chance.
        real, expected = sorted(real.to_pylist(), key=repr), sorted(expected.to_pylist(), key=repr)
        assert real == expected
    else:
        assert real.equals(expected)


def by_both(chain: Chain, dataset: str, folder: Path) -> tuple[pa.Table, pa.Table]:
    """Return blocks 70 to 129 of a chain as extracted by real and by fake Cryo."""
    with RpcPool(Node(chain)) as pool:
        for program in ("cryo-from-wheel", "fake-cryo"):
            command = [BIN / program, dataset, "-b", "70:130", "-o", folder / program]
            ended = subprocess.run(
                command, env=os.environ | {"ETH_RPC_URL": pool.url}, check=False, capture_output=True
            )
            assert ended.returncode == 0, ended.stdout
    real, fake = (
        pq.read_table(next((folder / program).glob("*.parquet"))) for program in ("cryo-from-wheel", "fake-cryo")
    )
    assert real.num_rows > 20
    return real, fake


QUIRKS = Quirks(deposits=True, state_sync=True, restarting_log_index=True, block_rewards=True, subsecond=True)


@pytest.mark.parametrize(
    "dataset",
    ["blocks", "transactions", "traces", "native_transfers", "contracts", "geth_calls", "balance_diffs", "logs"],
)
def test_both_extract_the_same_rows_from_chains_with_quirks(dataset: str, tmp_path: Path):
    """With deposits, state syncs, rewards and restarting log indexes both agree, except for ties in Cryo's sort."""
    real, fake = by_both(Chain(10, quirks=QUIRKS), dataset, tmp_path)
    if dataset == "logs":
        assert sorted(real.to_pylist(), key=repr) == sorted(fake.to_pylist(), key=repr)
    else:
        assert real.equals(fake)


@pytest.mark.parametrize(
    "quirk", ["zero_bloom", "full_bloom", "no_finalized_tag", "no_block_receipts", "large_headers"]
)
@pytest.mark.parametrize("dataset", ["blocks", "transactions", "logs"])
def test_both_extract_the_same_rows_with_quirks_of_headers_or_nodes(quirk: str, dataset: str, tmp_path: Path):
    """Cryo uses neither blooms nor `finalized`: both extract the same rows, also logs that no bloom contains."""
    real, fake = by_both(Chain(10, quirks=Quirks(**{quirk: True})), dataset, tmp_path)
    assert real.equals(fake)


@pytest.mark.parametrize("quirk", ["block_logs", "block_log_receipts"])
@pytest.mark.parametrize("dataset", ["logs", "erc20_transfers", "transactions", "address_appearances"])
def test_both_extract_the_same_logs_of_a_block(quirk: str, dataset: str, tmp_path: Path):
    """Both extract a log without a transaction, and an additional receipt does not shift the others."""
    chain = Chain(10, quirks=Quirks(**{quirk: True}))
    real, fake = by_both(chain, dataset, tmp_path)
    assert real.equals(fake)
    own = {chain.hash(number) for number in range(70, 130, 10)}
    found = own & set(real["transaction_hash"].to_pylist())
    assert found == (own if dataset in {"logs", "erc20_transfers"} else set())


@pytest.mark.parametrize(
    ("quirk", "dataset"),
    [("no_receipts", "transactions"), ("hydrated_blocks", "blocks"), ("hydrated_blocks", "geth_calls")],
)
def test_both_fail_on_the_same_blocks(quirk: str, dataset: str, tmp_path: Path):
    """Cryo needs receipts for `transactions` and hashes for most datasets, except for chunks without transactions."""
    chain = Chain(10, quirks=Quirks(**{quirk: True}))
    empty = f"{EMPTY_RUN.start}:{EMPTY_RUN.stop}"
    with RpcPool(Node(chain)) as pool:
        for program in ("cryo-from-wheel", "fake-cryo"):
            for blocks, code in (("70:130", 1), (empty, 0)):
                command = [BIN / program, dataset, "-b", blocks, "-o", tmp_path / f"{program}-{code}"]
                environment = os.environ | {"ETH_RPC_URL": pool.url}
                ended = subprocess.run(command, env=environment, check=False, capture_output=True)
                assert ended.returncode == code, (program, blocks)


@pytest.mark.parametrize("quirks", [{"no_receipts": True, "full_bloom": True}, {"hydrated_blocks": True}])
@pytest.mark.parametrize("dataset", ["logs", "erc721_transfers", "traces"])
def test_both_extract_datasets_that_need_neither_receipts_nor_hashes(
    quirks: dict[str, bool], dataset: str, tmp_path: Path
):
    """Without receipts, or with full transactions in every block, both extract logs and traces."""
    real, fake = by_both(Chain(10, quirks=Quirks(**quirks)), dataset, tmp_path)
    assert real.equals(fake)


@pytest.mark.parametrize(("quirk", "bloom"), [("zero_bloom", bytes(256)), ("full_bloom", b"\xff" * 256)])
def test_real_cryo_stores_the_bloom_of_the_header_unchanged(quirk: str, bloom: bytes, tmp_path: Path):
    """The column has the bloom of the header; neither the pool nor Cryo corrects it."""
    with RpcPool(Node(Chain(10, quirks=Quirks(**{quirk: True})))) as pool:
        command = [BIN / "cryo-from-wheel", "blocks", "-b", "70:130", "-o", tmp_path, "-i", "logs_bloom"]
        subprocess.run(command, env=os.environ | {"ETH_RPC_URL": pool.url}, check=True, capture_output=True)
    (path,) = tmp_path.glob("*.parquet")
    assert set(pq.read_table(path)["logs_bloom"].to_pylist()) == {bloom}


def test_a_node_that_cannot_trace_genesis_fails_that_chunk(tmp_path: Path):
    """As in geth, `debug_*` of block 0 is an error, so a chunk with block 0 fails and one from block 1 does not."""
    chain = Chain(1, quirks=Quirks(debug_refuses_genesis=True))
    codes = []
    with RpcPool(Node(chain)) as pool:
        for start in (0, 1):
            command = [BIN / "cryo-from-wheel", "geth_calls", "-b", f"{start}:20", "-o", tmp_path]
            ended = subprocess.run(
                command, env=os.environ | {"ETH_RPC_URL": pool.url}, check=False, capture_output=True
            )
            codes.append(ended.returncode)
    assert codes == [1, 0]


@pytest.mark.parametrize("dataset", sorted(ROWS))
def test_the_schemas_of_files_from_anvil_are_those_of_the_fakes(dataset: str, anvil_process: Anvil, tmp_path: Path):
    """Files that real Cryo extracts from anvil have the schemas of the fakes and the golden files."""
    command = [BIN / "cryo-from-wheel", dataset, "-b", "1:6", "-o", tmp_path]
    ended = subprocess.run(
        command, env=os.environ | {"ETH_RPC_URL": anvil_process.url}, check=False, capture_output=True
    )
    assert ended.returncode == 0, ended.stdout
    (path,) = tmp_path.glob("*.parquet")
    assert pq.read_schema(path).equals(schema(dataset), check_metadata=False)
