"""Real Cryo over the fake pool against the fakes: the real one proves the fake."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harness.fakes.rpc import Node, RpcPool
from harness.world.chain import Chain
from harness.world.tables import ROWS, build

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
