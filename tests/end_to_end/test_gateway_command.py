"""`cryo-ingest gateway` as a process: its URL, what passes, what is refused, and how it ends."""

import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.worker import BIN, CHAIN_ID, PAYLOAD, bare_cryo, events

from harness.fakes.rpc import Node, RpcPool
from harness.faults import rpc as do
from harness.world.chain import Chain

COMMAND = [BIN / "cryo-ingest", "gateway", "--pool", "local"]
SECRET = "k3y-of-the-pool"
END_SECONDS = 30


def environment(**variables: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "TRACE_LOG_FORMAT": "json"} | variables


def in_front_of(*urls: str) -> dict[str, str]:
    return environment(TRACE_RPC_POOL_LOCAL_URL=" ".join(f"{url}/{SECRET}" for url in urls))


class Running:
    """A gateway process and its URL."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process, self.url = process, process.stdout.readline().strip()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> list[dict[str, Any]]:
        """Send a signal and return the log; the process must end well, and print nothing else."""
        self.process.send_signal(number)
        rest, log = self.process.communicate(timeout=END_SECONDS)
        assert (self.process.returncode, rest) == (0, ""), log
        assert SECRET not in log
        return events(log)


@contextmanager
def gateway(variables: dict[str, str], *words: str) -> Iterator[Running]:
    """Run a gateway, and kill it if the test has not stopped it."""
    with subprocess.Popen(
        [*COMMAND, *words], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Running(process)
        finally:
            process.kill()


def post(url: str, body: object) -> Any:
    """Send a JSON body and return the parsed response."""
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=END_SECONDS
    ) as response:
        return json.loads(response.read())


def call(method: str, *params: object, number: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}


def run(variables: dict[str, str], *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a gateway that must end by itself."""
    command = [*COMMAND, *words]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=END_SECONDS)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_calls_and_batches_are_answered_until_a_signal(pool: RpcPool, number: signal.Signals):
    """RPC-3: a client reads the chain through it, without the pool's URL; a signal ends it with exit code 0."""
    with gateway(in_front_of(pool.url)) as served:
        assert post(served.url, call("eth_chainId", number=7)) == {"jsonrpc": "2.0", "id": 7, "result": hex(CHAIN_ID)}
        blocks = [call("eth_getBlockByNumber", hex(block), False, number=block) for block in range(500, 520)]
        answers = post(served.url, blocks)
        assert [(each["id"], int(each["result"]["number"], 16)) for each in answers] == [
            (n, n) for n in range(500, 520)
        ]
        log = served.stop(number)
    (closed,) = [event for event in log if event["event"] == "gateway.closed"]
    assert closed["calls_received"] == 21


def test_another_path_is_not_found(pool: RpcPool):
    """RPC-3: the random path is the only one that is served."""
    with gateway(in_front_of(pool.url)) as served:
        for path in ("/", "/x"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                post(served.url.rpartition("/")[0] + path, call("eth_chainId"))
        served.stop()


def test_methods_that_do_not_only_read_are_refused(pool: RpcPool):
    """A transaction never reaches the pool; in a batch the other calls are answered."""
    with gateway(in_front_of(pool.url)) as served:
        sent, chain = post(served.url, [call("eth_sendRawTransaction", "0x00"), call("eth_chainId", number=2)])
        assert sent["error"]["code"] == -32601
        assert chain["result"] == hex(CHAIN_ID)
        log = served.stop()
    assert pool.calls("eth_sendRawTransaction") == 0
    assert log[-1]["calls_refused"] == 1


def test_the_port_can_be_chosen(pool: RpcPool):
    """A configured reader needs a port that stays; one in use is a configuration error."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run(in_front_of(pool.url), "--port", port)
    assert (result.returncode, result.stdout) == (78, "")
    assert "--port" in result.stderr
    with gateway(in_front_of(pool.url), "--port", port) as served:
        assert f":{port}/" in served.url
        served.stop()


def test_mod_7_the_first_endpoint_that_answers_serves(pool: RpcPool):
    """MOD-7: an endpoint that does not answer is passed over."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with gateway(in_front_of(dead, pool.url)) as served:
        assert post(served.url, call("eth_chainId"))["result"] == hex(CHAIN_ID)
        log = served.stop()
    (chosen,) = [event for event in log if event["event"] == "endpoint.chosen"]
    assert chosen["endpoint"] == "endpoint 2 of 2 in TRACE_RPC_POOL_LOCAL_URL"


@pytest.mark.parametrize(("chain_id", "takes_over"), [(CHAIN_ID, True), (CHAIN_ID + 1, False)])
def test_rpc_4_only_an_endpoint_of_the_same_chain_takes_over(chain_id: int, takes_over: bool):  # noqa: FBT001
    """RPC-4: otherwise the client gets an error, and the gateway goes on."""
    first = RpcPool(Node(Chain(CHAIN_ID), head=10_000), [do.Status(401, method="eth_getBlockByNumber")])
    with (
        first,
        RpcPool(Node(Chain(chain_id), head=10_000)) as second,
        gateway(in_front_of(first.url, second.url)) as served,
    ):
        answer = post(served.url, call("eth_getBlockByNumber", "0x1f4", False))
        assert ("result" in answer) == takes_over
        assert SECRET not in str(answer)
        log = served.stop()
    assert ("endpoint.failed_over" in [event["event"] for event in log]) == takes_over


def test_logs_without_an_endpoint_are_an_error_and_no_silence():
    """A client without a timeout must not wait for ever for logs that no endpoint gives."""
    with (
        RpcPool(Node(Chain(CHAIN_ID), head=10_000), [do.Status(401, method="eth_getLogs")]) as failing,
        gateway(in_front_of(failing.url)) as served,
    ):
        answer = post(served.url, call("eth_getLogs", {"fromBlock": "0x1f4", "toBlock": "0x1f5"}))
        assert answer["error"]["code"] == -32000
        served.stop()


@pytest.mark.parametrize(
    ("variables", "words", "code"),
    [
        ({}, [], 69),
        ({"TRACE_RPC_POOL_LOCAL_URL": "ftp://node.example"}, [], 69),
        ({"TRACE_CRYO_REQUESTS_PER_SECOND": "0"}, [], 78),
        ({}, ["--port", "70000"], 64),
        ({}, ["--pool", "http://node.example/key"], 64),
    ],
)
def test_out_2_what_can_not_work_ends_with_its_exit_code(variables: dict[str, str], words: list[str], code: int):
    """OUT-2: nothing is printed on standard output, and no value of a variable."""
    result = run(environment(**variables), *words)
    assert (result.returncode, result.stdout) == (code, "")
    assert "node.example" not in result.stderr


@pytest.mark.real_cryo
@pytest.mark.parametrize("dataset", ["blocks", "logs"])
def test_plain_cryo_writes_the_same_files_through_it(dataset: str, pool: RpcPool, tmp_path: Path):
    """RNG-2: the bytes are those that Cryo writes without a gateway."""
    payload = PAYLOAD | {"cryo_dataset_name": dataset}
    expected = bare_cryo("cryo-from-wheel", tmp_path / "direct", payload, {"ETH_RPC_URL": pool.url})
    with gateway(in_front_of(pool.url)) as served:
        found = bare_cryo("cryo-from-wheel", tmp_path / "through", payload, {"ETH_RPC_URL": served.url})
        served.stop()
    assert found == expected
