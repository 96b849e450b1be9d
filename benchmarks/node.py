"""Nodes for benchmarks: anvil with a chain similar to the deterministic one, and the fake pool as a process."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
BLOCKS = 5000
SENDER = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
LOGGER = "0x601d600c600039601d6000f3" + "60016020" + "6000a1" + ("600160206000a1" * 3) + "00"
"""Init code of a contract that emits four logs, each with one topic and 32 bytes of data."""


@contextmanager
def anvil(executable: str) -> Iterator[str]:
    """Run anvil with `BLOCKS` blocks of three transactions and four logs each, and yield its URL."""
    path = shutil.which(executable)
    if path is None:
        sys.exit(f"{executable} is not an executable: give the path of anvil with --anvil")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [path, "--port", str(port), "--no-mining", "--silent", "--order", "fifo", "--gas-limit", "60000000"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        while not _answers(port):
            time.sleep(0.05)
        _fill(port)
        yield url
    finally:
        process.terminate()
        process.wait()


@contextmanager
def fake_pool() -> Iterator[str]:
    """Run `cryo-harness serve rpc` and yield its URL."""
    command = [BIN / "cryo-harness", "serve", "rpc", "--chain-id", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise RuntimeError
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGTERM)


def timed(program: str, dataset: str, folder: Path, environment: dict[str, str]) -> float:
    """Extract blocks 1 to `BLOCKS` into an empty folder, and return the time in seconds with start-up."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [BIN / program, dataset, "-b", f"1:{BLOCKS + 1}", "-o", folder, "--no-verbose", "--no-report"]
    started = time.perf_counter()
    subprocess.run(command, env=os.environ | environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port)):
            return True
    except OSError:
        return False


def _fill(port: int) -> None:
    """Mine the blocks one by one; nonces are set, since anvil executes a batch in any order."""
    created = "0x5fbdb2315678afecb367f032d93f642f64180aa3"  # the first contract of anvil's first account
    connection = http.client.HTTPConnection("127.0.0.1", port)
    _call(connection, [("eth_sendTransaction", {"from": SENDER, "data": LOGGER, "gas": "0xfffff", "nonce": "0x0"})])
    _call(connection, [("evm_mine", None)])
    payment = {"from": SENDER, "to": "0x" + "22" * 20, "value": "0x1", "gas": "0x5208"}
    for block in range(BLOCKS - 1):
        nonces = [hex(1 + 3 * block + index) for index in range(3)]
        logging = {"from": SENDER, "to": created, "gas": "0x30000", "nonce": nonces[0]}
        paying = [payment | {"nonce": nonce} for nonce in nonces[1:]]
        _call(connection, [("eth_sendTransaction", transaction) for transaction in (logging, *paying)])
        _call(connection, [("evm_mine", None)])
    connection.close()


def _call(connection: http.client.HTTPConnection, calls: list[tuple[str, Any]]) -> None:
    batch = [
        {"id": index, "jsonrpc": "2.0", "method": method, "params": [] if param is None else [param]}
        for index, (method, param) in enumerate(calls)
    ]
    connection.request("POST", "/", json.dumps(batch), {"content-type": "application/json"})
    for answer in json.loads(connection.getresponse().read()):
        if "error" in answer:
            sys.exit(f"anvil returned an error: {answer['error']}")
