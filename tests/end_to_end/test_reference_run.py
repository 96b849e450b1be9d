import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from support.worker import BIN, PAYLOAD, bare_cryo, expected_contents, prefix_of

from harness.fakes.rpc import Node, RpcPool
from harness.faults import RpcFault, StoreFault
from harness.faults.rpc import Items, Result, Status
from harness.reference.bugs import BUG_VARIABLE
from harness.stores.bucket import Bucket
from harness.stores.proxy import StoreProxy
from harness.world.chain import Chain
from harness.world.quirks import Quirks

CANARY = "canary-key-58ab13"
SMALL = PAYLOAD | {"range_end": 560}


def run(folder: Path, payload: Any, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one attempt of the reference worker, its payload on standard input."""
    base = {"PATH": f"{BIN}:{os.environ['PATH']}", "TRACE_CRYO_STAGING_ROOT": str(folder / "staging")}
    return subprocess.run(
        [sys.executable, "-m", "harness.reference", "run", "-", *words],
        input=payload if isinstance(payload, str) else json.dumps(payload),
        env=base | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def real(pool: RpcPool, **more: str) -> dict[str, str]:
    """Return the environment of real mode with fake Cryo on a pool, whose URL holds a canary."""
    return {
        "TRACE_CRYO_MODE": "real",
        "TRACE_CRYO_BIN": str(BIN / "fake-cryo"),
        "TRACE_RPC_POOL_LOCAL_URL": f"{pool.url}/{CANARY}",
    } | more


def pool(*cryo_faults: dict[str, Any], faults: tuple[RpcFault, ...] = (), head: int = 5000) -> RpcPool:
    """Make a pool of one node on the payload's chain."""
    return RpcPool(Node(Chain(PAYLOAD["chain_id"]), head=head, script={"faults": list(cryo_faults)}), faults)


def files(folder: Path) -> dict[str, bytes]:
    """Return what a directory store holds."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def outcome(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last event's outcome."""
    return str(json.loads(done.stderr.splitlines()[-1])["outcome"])


def test_pub_1_fake_mode_publishes_what_a_bare_cryo_writes(tmp_path: Path):
    """PUB-1, LAY: the store holds Cryo's files, the manifest and nothing else, and stdout the one publication."""
    store = tmp_path / "store"
    store.mkdir()
    done = run(tmp_path, PAYLOAD, "--store", f"file://{store}")
    bare = bare_cryo("fake-cryo", tmp_path / "bare", PAYLOAD, {"FAKE_CRYO_CHAIN_ID": str(PAYLOAD["chain_id"])})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["storage_ref"]["prefix"] == f"{store}/{prefix_of(PAYLOAD)}"
    assert files(store) == expected_contents(PAYLOAD, bare)
    assert list((tmp_path / "staging").iterdir()) == []


def test_lay_8_real_mode_on_s3_proves_by_the_chain(tmp_path: Path, moto_bucket: Bucket):
    """LAY-8, RNG-4: each object on S3 tells its digest and that it was proved by the chain; a second attempt adopts."""
    with pool() as nodes:
        environment = real(nodes) | moto_bucket.environment()
        first = run(tmp_path, SMALL, **environment)
        asked = len(nodes.journal)
        second = run(tmp_path, SMALL, **environment)
        assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
        assert len(nodes.journal) == asked, "what is stored with its evidence is published without asking anybody"
    key = next(key for key in moto_bucket.contents() if key.endswith(".parquet"))
    recorded = moto_bucket.metadata(key)
    assert (recorded["rows"], recorded["block-min"], recorded["block-max"]) == ("60", "500", "559")
    assert recorded["evidence"] == "chain"
    assert CANARY not in first.stderr + first.stdout + second.stderr


@pytest.mark.parametrize("dataset", ["transactions", "logs", "erc20_transfers", "erc721_transfers", "traces"])
@pytest.mark.parametrize("level", ["chain", "receipts"])
def test_rng_4_good_data_of_each_dataset_passes(tmp_path: Path, dataset: str, level: str):
    """RNG-4: no dataset of a good chain is accused at any level."""
    with pool() as nodes:
        payload = SMALL | {"cryo_dataset_name": dataset}
        done = run(tmp_path, payload, "--store", f"file://{tmp_path}/store", **real(nodes, TRACE_COVERAGE=level))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("quirk", [field.name for field in fields(Quirks)])
@pytest.mark.parametrize("dataset", ["logs", "erc20_transfers"])
def test_rng_4_no_chain_is_accused_for_its_quirks(tmp_path: Path, dataset: str, quirk: str):
    """RNG-4: blooms and log indexes are a screen; what breaks them on several chains is settled by the node's logs."""
    chain = Chain(PAYLOAD["chain_id"], quirks=Quirks(**{quirk: True}))
    with RpcPool(Node(chain, head=5000)) as nodes:
        payload = SMALL | {"cryo_dataset_name": dataset}
        done = run(tmp_path, payload, "--store", f"file://{tmp_path}/store", **real(nodes))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"range_end": 500}, "range_end"),
        ({"chain_id": True}, "chain_id"),
        ({"dataset_uuid": "x"}, "dataset_uuid"),
        ({"cryo_dataset_name": "txs"}, "transactions"),
        ({"cryo_dataset_name": "state_diffs"}, "code_diffs"),
        ({"cryo_dataset_name": "balances"}, "address"),
    ],
)
def test_pay_2_a_bad_payload_is_named(tmp_path: Path, changes: dict[str, Any], named: str):
    """PAY-2, PAY-4: exit 65, with the field or the canonical name in the message, and nothing is staged."""
    done = run(tmp_path, PAYLOAD | changes, "--store", f"file://{tmp_path}/store")
    assert (done.returncode, done.stdout) == (65, "")
    assert named in done.stderr
    assert not (tmp_path / "staging").exists()


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"do": "exit", "code": 2, "after_chunks": 0}, 69),
        ({"do": "exit", "code": 1, "after_chunks": 0}, 75),
        ({"do": "wrong_schema", "chunk": 0}, 69),
        ({"do": "omit_rows", "chunk": 0, "every": 7}, 75),
        ({"do": "extra_file", "name": "extra.parquet"}, 75),
        ({"do": "disk_full", "chunk": 0}, 75),
        ({"do": "signal", "number": 9, "after_chunks": 0}, 75),
    ],
)
def test_out_2_each_failure_of_cryo_has_its_outcome(tmp_path: Path, fault: dict[str, Any], code: int):
    """OUT-2, OUT-4: the exit code says fatal or retryable, nothing is stored, staging is gone."""
    with pool(fault) as nodes:
        done = run(tmp_path, SMALL, "--store", f"file://{tmp_path}/store", **real(nodes))
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert not (tmp_path / "store").exists()
    assert list((tmp_path / "staging").iterdir()) == []
    assert CANARY not in done.stderr


def test_out_3_a_hang_ends_at_the_deadline(tmp_path: Path):
    """OUT-3: a Cryo that hangs is killed at its deadline, and the attempt is retryable."""
    with pool({"do": "hang", "when": "during"}, {"do": "ignore_sigterm"}) as nodes:
        environment = real(nodes, TRACE_CRYO_DEADLINE_SECONDS="0.5")
        done = run(tmp_path, SMALL, "--store", f"file://{tmp_path}/store", **environment)
    assert done.returncode == 75, done.stderr
    assert "TRACE_CRYO_DEADLINE_SECONDS" in done.stderr


def test_out_5_one_broken_chunk_does_not_cost_the_range(tmp_path: Path):
    """OUT-5: Cryo runs again for the chunk that one run has broken, and keeps the one that was whole."""
    broken = Result({"faults": [{"do": "truncate_file", "chunk": 1, "bytes": 9}]})
    with pool(faults=(replace(broken, method="harness_script", times=1),)) as nodes:
        payload = PAYLOAD | {"range_end": 1600}
        done = run(tmp_path, payload, "--store", f"file://{tmp_path}/store", **real(nodes))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count('"cryo.ended"') == 2


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Result("0x1", method="eth_chainId"), 69),
        (Result(None, method="eth_getBlockByNumber", times=1), 75),
        (Status(500, method="eth_getBlockByNumber"), 75),
    ],
)
def test_rng_5_the_endpoint_is_asked_first(tmp_path: Path, fault: RpcFault, code: int):
    """RNG-5: another chain is fatal, no finality yet and no answer are retryable, and Cryo has not run."""
    with pool(faults=(fault,)) as nodes:
        done = run(tmp_path, SMALL, "--store", f"file://{tmp_path}/store", **real(nodes))
    assert done.returncode == code, done.stderr
    assert "cryo.ended" not in done.stderr


def test_mod_7_the_first_url_that_passes_serves(tmp_path: Path):
    """MOD-7: a node of another chain and one that is not there are passed over."""
    with RpcPool([Node(Chain(1), head=5000), Node(Chain(PAYLOAD["chain_id"]), head=5000)]) as nodes:
        urls = f"http://127.0.0.1:9/ {nodes.urls[0]} {nodes.urls[1]}"
        environment = real(nodes, TRACE_RPC_POOL_LOCAL_URL=urls)
        done = run(tmp_path, SMALL, "--store", f"file://{tmp_path}/store", **environment)
    assert done.returncode == 0, done.stderr


def test_rng_4_logs_that_a_node_has_lost_are_missed(tmp_path: Path):
    """RNG-4: an empty answer to eth_getLogs for blocks that have logs is not published."""
    with pool({"do": "omit_rows", "chunk": 0, "every": 3}) as nodes:
        payload = SMALL | {"cryo_dataset_name": "logs"}
        done = run(tmp_path, payload, "--store", f"file://{tmp_path}/store", **real(nodes))
    assert done.returncode == 75, done.stderr
    assert "block 5" in done.stderr


def test_rng_4_receipts_settle_what_a_bloom_accuses(tmp_path: Path):
    """RNG-4: where the receipts by block are too few, those of single transactions decide, and good rows pass."""
    with pool(faults=(Items(first=0, method="eth_getBlockReceipts"),)) as nodes:
        payload = SMALL | {"cryo_dataset_name": "logs"}
        environment = real(nodes, TRACE_COVERAGE="receipts")
        done = run(tmp_path, payload, "--store", f"file://{tmp_path}/store", **environment)
    assert done.returncode == 0, done.stderr


def test_lay_10_a_lost_answer_to_its_own_put_is_no_failure(tmp_path: Path, moto_bucket: Bucket):
    """LAY-10: the 412 that its own PUT brings about, whose answer was lost, is read as success."""
    fault = StoreFault(operation="put", key=r"\.parquet$", when="after", times=1)
    with StoreProxy(moto_bucket.endpoint.url, fault) as proxy:
        environment = moto_bucket.environment() | {"S3_ENDPOINT": proxy.url}
        good = run(tmp_path, SMALL, **environment)
    assert good.returncode == 0, good.stderr


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (503, "SlowDown", 75),
        (403, "RequestTimeTooSkewed", 75),
        (400, "ExpiredToken", 75),
        (403, "AccessDenied", 69),
        (403, "InvalidAccessKeyId", 69),
        (403, "SignatureDoesNotMatch", 69),
    ],
)
def test_out_4_a_store_that_fails_or_denies(
    tmp_path: Path, moto_bucket: Bucket, status: int, code: str, exit_code: int
):
    """OUT-2, OUT-4: a store that stays down, a wrong clock and an expired token are retryable, a denial is fatal."""
    fault = StoreFault(operation="put", key=r"\.parquet$", status=status, code=code)
    with StoreProxy(moto_bucket.endpoint.url, fault) as proxy:
        environment = moto_bucket.environment() | {"S3_ENDPOINT": proxy.url}
        done = run(tmp_path, SMALL, **environment)
    assert done.returncode == exit_code, done.stderr
    assert moto_bucket.contents() == {}


def test_lay_10_a_torn_version_is_mended_and_leftovers_go(tmp_path: Path, moto_bucket: Bucket):
    """LAY-6, LAY-10: a broken object and a foreign key under a manifest are replaced and deleted; the rest stays."""
    assert run(tmp_path, SMALL, **moto_bucket.environment()).returncode == 0
    whole = moto_bucket.contents()
    key = next(key for key in whole if key.endswith(".parquet"))
    moto_bucket.put(key, whole[key][:-9])
    moto_bucket.put(f"{prefix_of(SMALL)}left.txt", b"left")
    assert run(tmp_path, SMALL, **moto_bucket.environment()).returncode == 0
    assert moto_bucket.contents() == whole


def test_lay_11_fake_data_in_real_mode_is_fatal_and_left_alone(tmp_path: Path, moto_bucket: Bucket):
    """LAY-11: the other mode's data is named, and nothing is changed."""
    assert run(tmp_path, SMALL, **moto_bucket.environment()).returncode == 0
    there = moto_bucket.contents()
    with pool() as nodes:
        done = run(tmp_path, SMALL, **real(nodes), **moto_bucket.environment())
    assert (done.returncode, outcome(done)) == (69, "fatal_error"), done.stderr
    assert moto_bucket.contents() == there


@pytest.mark.parametrize(("cap", "code"), [("2", 69), ("3", 0)])
def test_cap_1_exactly_at_a_cap_is_allowed(tmp_path: Path, cap: str, code: int):
    """CAP-1, CAP-4: three files pass a cap of three, and are fatal over one of two."""
    done = run(tmp_path, PAYLOAD, "--store", f"file://{tmp_path}/store", MAX_PARQUET_FILES_PER_RANGE=cap)
    assert done.returncode == code, done.stderr


@pytest.mark.parametrize(
    "variables",
    [
        {"TRACE_CRYO_MODE": "reel"},
        {"MAX_PARQUET_FILES_PER_RANGE": "0"},
        {"TRACE_CRYO_STAGING_TTL_HOURS": "-1"},
        {BUG_VARIABLE: "no-such-bug"},
    ],
)
def test_mod_1_a_bad_variable_is_named(tmp_path: Path, variables: dict[str, str]):
    """MOD-1, CAP-3: exit 78, with the variable's name in the message."""
    done = run(tmp_path, PAYLOAD, "--store", f"file://{tmp_path}/store", **variables)
    assert done.returncode == 78
    assert all(name in done.stderr for name in variables)


def test_stg_6_a_link_in_the_staging_path_is_refused(tmp_path: Path):
    """STG-6: a link where the task's directory would be is fatal, and what is behind it is left alone."""
    behind = tmp_path / "behind"
    behind.mkdir()
    (behind / "precious").write_text("stays")
    (tmp_path / "staging").mkdir(mode=0o700)
    task_id = "0b6c3a52-3f0c-4a52-9b5c-0f0d2f3f8a11"
    (tmp_path / "staging" / task_id).symlink_to(behind)
    done = run(tmp_path, SMALL, "--task-id", task_id, "--store", f"file://{tmp_path}/store")
    assert done.returncode == 69, done.stderr
    assert files(behind) == {"precious": b"stays"}
