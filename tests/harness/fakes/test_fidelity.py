"""Real Cryo over the fake pool against the fakes: the real one proves the fake."""

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
def test_real_cryo_extracts_what_the_world_says(dataset: str, blocks: range, tmp_path: Path):
    """Real Cryo's file from the fake pool equals the world's table: schema, rows and order, name included."""
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
    """Return blocks 70 to 129 of a chain as real Cryo and as the fake one extract them from a node."""
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
def test_quirky_chains_are_extracted_alike(dataset: str, tmp_path: Path):
    """With deposits, state syncs, rewards and restarting log indexes the two still agree, ties in Cryo's sort aside."""
    real, fake = by_both(Chain(10, quirks=QUIRKS), dataset, tmp_path)
    if dataset == "logs":
        assert sorted(real.to_pylist(), key=repr) == sorted(fake.to_pylist(), key=repr)
    else:
        assert real.equals(fake)


@pytest.mark.parametrize(
    "quirk", ["zero_bloom", "full_bloom", "no_finalized_tag", "no_block_receipts", "large_headers"]
)
@pytest.mark.parametrize("dataset", ["blocks", "transactions", "logs"])
def test_a_quirk_of_headers_or_of_the_node_is_extracted_alike(quirk: str, dataset: str, tmp_path: Path):
    """Cryo looks at no bloom and asks for no `finalized`: its rows are the fake's, logs outside a bloom among them."""
    real, fake = by_both(Chain(10, quirks=Quirks(**{quirk: True})), dataset, tmp_path)
    assert real.equals(fake)


@pytest.mark.parametrize("quirk", ["block_logs", "block_log_receipts"])
@pytest.mark.parametrize("dataset", ["logs", "erc20_transfers", "transactions", "address_appearances"])
def test_logs_of_a_block_are_extracted_alike(quirk: str, dataset: str, tmp_path: Path):
    """A log outside any transaction is a row of both, and one receipt more shifts no transaction's."""
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
def test_what_cryo_cannot_read_fails_alike(quirk: str, dataset: str, tmp_path: Path):
    """Cryo needs receipts for `transactions` and hashes for most datasets; a chunk without transactions needs none."""
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
def test_datasets_that_need_neither_are_extracted_alike(quirks: dict[str, bool], dataset: str, tmp_path: Path):
    """Without receipts, or with whole transactions in every block, logs and traces are read as they are."""
    real, fake = by_both(Chain(10, quirks=Quirks(**quirks)), dataset, tmp_path)
    assert real.equals(fake)


@pytest.mark.parametrize(("quirk", "bloom"), [("zero_bloom", bytes(256)), ("full_bloom", b"\xff" * 256)])
def test_a_quirky_bloom_reaches_real_cryo_as_it_is(quirk: str, bloom: bytes, tmp_path: Path):
    """What the header says is what the column holds: neither the pool nor Cryo makes it true."""
    with RpcPool(Node(Chain(10, quirks=Quirks(**{quirk: True})))) as pool:
        command = [BIN / "cryo-from-wheel", "blocks", "-b", "70:130", "-o", tmp_path, "-i", "logs_bloom"]
        subprocess.run(command, env=os.environ | {"ETH_RPC_URL": pool.url}, check=True, capture_output=True)
    (path,) = tmp_path.glob("*.parquet")
    assert set(pq.read_table(path)["logs_bloom"].to_pylist()) == {bloom}


def test_a_node_that_refuses_to_trace_genesis_fails_its_chunk(tmp_path: Path):
    """As geth does: `debug_*` of block 0 is an error, so a chunk from there is lost, one from block 1 is not."""
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
def test_anvil_is_a_witness_that_the_schemas_have_not_drifted(dataset: str, anvil_process: Anvil, tmp_path: Path):
    """What real Cryo extracts from a live anvil has the schema that the fakes and the goldens have."""
    command = [BIN / "cryo-from-wheel", dataset, "-b", "1:6", "-o", tmp_path]
    ended = subprocess.run(
        command, env=os.environ | {"ETH_RPC_URL": anvil_process.url}, check=False, capture_output=True
    )
    assert ended.returncode == 0, ended.stdout
    (path,) = tmp_path.glob("*.parquet")
    assert pq.read_schema(path).equals(schema(dataset), check_metadata=False)
