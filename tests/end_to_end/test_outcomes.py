"""How an attempt ends, seen from outside: exit codes, messages, and what is left in store and staging."""

import json
import os
import re
import signal
import subprocess
from typing import Any

import pytest
from support.worker import BIN, CHAIN_ID, PAYLOAD, Target, Worker, events, real_mode

from harness.fakes.rpc.methods import Node
from harness.fakes.rpc.server import RpcPool
from harness.faults.rpc import Hang, Status, Stop
from harness.world.chain import Chain

NODE = Node(Chain(CHAIN_ID), head=1_000_000)


def failure(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """Return the event that says why an attempt failed."""
    (found,) = (event for event in events(result.stderr) if event["event"] == "attempt.failed")
    return found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "JSON object"),
        (json.dumps(PAYLOAD | {"chain_id": "1", "range_end": 0}), "chain_id: "),
        (json.dumps(PAYLOAD | {"cryo_dataset_name": "txs"}), "canonical name transactions"),
        (json.dumps(PAYLOAD | {"rpc_pool": "https://node.example/k3y-1234"}), "rpc_pool: "),
    ],
)
def test_pay_2_a_bad_payload_is_exit_65_and_touches_nothing(text: str, words: str, file_target: Target, worker: Worker):
    """PAY-2, PAY-4: Cryo is not started, nothing is written or published, and no value is repeated."""
    command = [BIN / "cryo-ingest", "run", "-", "--store", file_target.url]
    result = subprocess.run(
        command, input=text, env=worker.variables(file_target, {}), capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (65, "")
    assert words in result.stderr
    assert "cryo.started" not in result.stderr
    assert "k3y" not in result.stderr
    assert not (worker.folder / "out").exists()


@pytest.mark.parametrize(
    ("words", "environment", "code", "said"),
    [
        (["run"], {}, 64, "TASK.json"),
        (["run", "absent.json", "--store", "file:///x"], {}, 64, "No such file"),
        (["run", "-", "--store", "ftp://x"], {}, 64, "s3://bucket"),
        (["run", "-", "--store", "file:///x", "--attempt", "0"], {}, 64, "--attempt"),
        (["run", "-", "--store", "file:///x", "--task-id", "../../x"], {}, 64, "UUID"),
        (["fly"], {}, 64, "fly"),
        (["run", "-"], {}, 78, "S3_BUCKET"),
        (["run", "-"], {"TRACE_CRYO_MODE": "maybe", "MAX_PARQUET_FILES_PER_RANGE": "0"}, 78, "MAX_PARQUET_FILES"),
        (["run", "-"], {"TRACE_COVERAGE": "most"}, 78, "TRACE_COVERAGE"),
    ],
)
def test_usage_is_exit_64_and_configuration_78(words: list[str], environment: dict[str, str], code: int, said: str):
    """Both come before anything is read or run, and say what to change."""
    result = subprocess.run(
        [BIN / "cryo-ingest", *words],
        input=json.dumps(PAYLOAD),
        env={"PATH": os.environ["PATH"], "COLUMNS": "200"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (code, "")
    assert said in result.stderr


@pytest.mark.real_cryo
@pytest.mark.parametrize("gateway", ["on", "off"])
def test_out_5_one_call_in_many_answered_429_does_not_cost_the_range(gateway: str, file_target: Target, worker: Worker):
    """OUT-5: real Cryo fails a whole chunk on one bad answer; what is proved is kept and the rest is run for again.

    With the gateway, the default, Cryo gets no bad answer and runs once (RPC-1).
    """
    limited = Status(429, method="eth_getBlockByNumber", nth=1500, every=1500)
    payload = PAYLOAD | {"range_start": 0, "range_end": 8000}
    with RpcPool(NODE, [limited]) as pool:
        result = worker.run(file_target, payload, **real_mode(pool.url) | {"TRACE_CRYO_GATEWAY": gateway})
        fired = sum(call.fault is limited for call in pool.journal)
    assert result.returncode == 0, result.stderr
    runs = [event for event in events(result.stderr) if event["event"] == "cryo.ended"]
    assert fired >= 5
    assert (len(runs) == 1) is (gateway == "on")
    assert len(file_target.contents()) == 9


@pytest.mark.real_cryo
@pytest.mark.parametrize(("gateway", "error"), [("on", "NodeUnavailable"), ("off", "CryoFailed")])
def test_out_2_a_node_that_dies_before_cryo_is_retryable(gateway: str, error: str, file_target: Target, worker: Worker):
    """OUT-2: it was there to say how far it is, and gone for Cryo; the store stays empty.

    Without the gateway Cryo meets the dead node itself, and three runs add nothing.
    """
    with RpcPool(NODE, [Stop(method="eth_chainId", nth=2)]) as pool:
        result = worker.run(file_target, **real_mode(pool.url) | {"TRACE_CRYO_GATEWAY": gateway})
    assert result.returncode == 75
    assert failure(result)["error"] == error
    assert file_target.contents() == {}
    assert list(worker.staging.iterdir()) == []


def test_rng_5_a_node_that_is_not_there_is_retryable_before_cryo_starts(file_target: Target, worker: Worker):
    """RNG-5, OUT-2: nothing listens there."""
    result = worker.run(file_target, **real_mode("http://127.0.0.1:9") | {"TRACE_CRYO_BIN": "fake-cryo"})
    assert (result.returncode, failure(result)["error"]) == (75, "NodeUnavailable")
    assert "cryo.started" not in result.stderr
    assert file_target.contents() == {}
    assert list(worker.staging.iterdir()) == []


@pytest.mark.real_cryo
def test_out_3_a_node_that_never_answers_ends_at_the_deadline(file_target: Target, worker: Worker):
    """OUT-3: real Cryo would wait for ever; the message says how far it got."""
    hang = Hang(method="eth_getBlockByNumber", block=2600)
    with RpcPool(NODE, [hang]) as pool:
        result = worker.run(file_target, TRACE_CRYO_DEADLINE_SECONDS="8", **real_mode(pool.url))
    assert (result.returncode, failure(result)["error"]) == (75, "DeadlineExceeded")
    message = failure(result)["message"]
    # Blocks of all chunks may be in the batch that hangs.
    assert re.search(r"\d of 3 chunks of blocks 500:2700 done: .* finished in time", message)
    assert file_target.contents() == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_lse_4_a_signal_stops_cryo_cleans_up_and_is_the_exit_code(
    number: signal.Signals, file_target: Target, worker: Worker
):
    """STG-8, LSE-4: 143 for SIGTERM, 130 for SIGINT; Cryo is gone, staging empty, nothing stored or published."""
    hang = Hang(method="eth_chainId", nth=2)
    with RpcPool(NODE, [hang]) as pool:
        environment = worker.variables(file_target, real_mode(pool.url) | {"TRACE_CRYO_BIN": "fake-cryo"})
        command = worker.command(PAYLOAD, file_target)
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if '"cryo.started"' in line:
                    break
            process.send_signal(number)
            stdout, _ = process.communicate()
    assert (process.returncode, stdout) == (128 + number, "")
    assert list(worker.staging.iterdir()) == []
    assert file_target.contents() == {}


def test_success_before_byzantium_is_published_with_a_warning(moto_target: Target, worker: Worker):
    """Cryo's `success` is wrong there whatever is done, so the data say so of themselves."""
    payload = PAYLOAD | {"chain_id": 1, "cryo_dataset_name": "transactions", "range_start": 4_369_990}
    result = worker.run(moto_target, payload | {"range_end": 4_370_010})
    assert result.returncode == 0, result.stderr
    assert "data.known_defect" in [event["event"] for event in events(result.stderr)]
    (key,) = (key for key in moto_target.contents() if key.endswith(".parquet"))
    assert moto_target.bucket is not None
    assert moto_target.bucket.metadata(key)["known-defect"] == "success-before-byzantium"
    later = worker.run(moto_target, payload | {"range_start": 4_370_000, "range_end": 4_370_010})
    assert "data.known_defect" not in later.stderr


def test_out_3_a_deadline_that_passes_before_cryo_is_named(file_target: Target, worker: Worker):
    """OUT-3: the node is well; the message names the deadline's variable and does not say that the node failed."""
    with RpcPool(NODE) as pool:
        result = worker.run(file_target, TRACE_CRYO_DEADLINE_SECONDS="0.001", **real_mode(pool.url))
    assert (result.returncode, failure(result)["error"]) == (75, "DeadlineExceeded")
    assert "TRACE_CRYO_DEADLINE_SECONDS" in failure(result)["message"]
    assert "cryo.started" not in result.stderr


def test_out_3_a_deadline_that_passes_during_the_proof_is_named(file_target: Target, worker: Worker):
    """OUT-3: Cryo has ended, and the receipts that the proof asks for never come."""
    hang = Hang(method="eth_getBlockReceipts")
    payload = PAYLOAD | {"cryo_dataset_name": "logs", "range_start": 500, "range_end": 520}
    settings = {"TRACE_CRYO_DEADLINE_SECONDS": "6", "TRACE_COVERAGE": "receipts", "TRACE_CRYO_BIN": "fake-cryo"}
    with RpcPool(NODE, [hang]) as pool:
        result = worker.run(file_target, payload, **real_mode(pool.url) | settings)
    assert (result.returncode, failure(result)["error"]) == (75, "DeadlineExceeded")
    assert (
        "before endpoint 1 of 1 in TRACE_RPC_POOL_LOCAL_URL answered eth_getBlockReceipts" in failure(result)["message"]
    )
    assert file_target.contents() == {}
