"""The chain that is mined on every anvil: transfers, a contract, its calls and logs, reverts, empty blocks.

Transactions, blocks and timestamps are the same on every machine. Hashes differ, because anvil draws the randomness of
each block. This chain is for tests with a real node; the chain that serves as an oracle is in `harness.world`.
"""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

GENESIS_TIME = 1_700_000_000
SECONDS_PER_BLOCK = 12
BLOCKS = 300
CONFIRMED = 4
"""Empty blocks at the end, so that the blocks before them are final."""

TRANSFER_TOPIC = "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
GAS = hex(200_000)
PRICE = hex(2_000_000_000)
TIMEOUT_SECONDS = 30

RUNTIME = bytes.fromhex(
    "36600857600080fd"  # without call data: revert
    "5b"
    "600054600101600055"  # slot 0 counts the calls
    "600035600052"  # the first word of the call data is the data of the log
    "3033" + "7f" + TRANSFER_TOPIC + "60206000a3"  # LOG3(Transfer, caller, this contract)
    "00"
)
CREATION = bytes.fromhex(f"60{len(RUNTIME):02x}80600b6000396000f3") + RUNTIME


@dataclass(frozen=True, slots=True)
class Mined:
    """The contents of the chain: blocks 0 to `head`; those up to `BLOCKS` have transactions or are empty on purpose."""

    chain_id: int
    head: int
    contract: str
    transactions: int
    logs: int
    reverts: int


class NodeError(Exception):
    """A node answered a call with an error."""


class Rpc:
    """A JSON-RPC client over one connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=TIMEOUT_SECONDS)
        self._id = 0

    def call(self, method: str, *parameters: Any) -> Any:
        """Make a call and return its result.

        Raises:
            NodeError: the node answered with an error.
        """
        self._id += 1
        body = json.dumps({"jsonrpc": "2.0", "id": self._id, "method": method, "params": parameters})
        self._connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = json.loads(self._connection.getresponse().read())
        if "error" in answer:
            raise NodeError(f"{method}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def mine(url: str) -> Mined:
    """Mine the chain on a new anvil that mines only on request.

    Raises:
        NodeError: it can't be mined, for example because the anvil is not new.
    """
    rpc = Rpc(url)
    try:
        accounts: list[str] = rpc.call("eth_accounts")
        miner = _Miner(rpc, accounts)
        contract = miner.deploy()
        for block in range(2, BLOCKS + 1):
            miner.fill(block, contract)
        for block in range(BLOCKS + 1, BLOCKS + CONFIRMED + 1):
            miner.close_block(block)
        return Mined(
            chain_id=int(rpc.call("eth_chainId"), 16),
            head=BLOCKS + CONFIRMED,
            contract=contract,
            transactions=miner.transactions,
            logs=miner.logs,
            reverts=miner.reverts,
        )
    finally:
        rpc.close()


class _Miner:
    """Sends the transactions of each block, mines it, and counts them."""

    def __init__(self, rpc: Rpc, accounts: list[str]) -> None:
        self._rpc = rpc
        self._accounts = accounts
        self.transactions = self.logs = self.reverts = 0

    def deploy(self) -> str:
        """Deploy the contract in block 1 and return its address."""
        sent = self._send(0, data=CREATION.hex())
        self.close_block(1)
        address: str = self._rpc.call("eth_getTransactionReceipt", sent)["contractAddress"]
        return address

    def fill(self, block: int, contract: str) -> None:
        """Send the transactions of a block: none in every fifth, a revert in every seventh; transfers and calls."""
        if block % 5:
            for turn in range(block % 3):
                self._send(turn, to=self._accounts[5 + turn], value=hex(block * 1_000 + turn))
            for turn in range(block % 4):
                self._send(turn, to=contract, data=f"{block * 1_000 + turn:064x}")
                self.logs += 1
            if not block % 7:
                self._send(4, to=contract)
                self.reverts += 1
        self.close_block(block)

    def close_block(self, block: int) -> None:
        """Mine a block with its timestamp."""
        self._rpc.call("evm_mine", {"timestamp": GENESIS_TIME + block * SECONDS_PER_BLOCK})

    def _send(self, account: int, *, data: str = "", **fields: str) -> str:
        common = {"from": self._accounts[account], "data": f"0x{data}", "gas": GAS, "gasPrice": PRICE}
        self.transactions += 1
        sent: str = self._rpc.call("eth_sendTransaction", common | fields)
        return sent
