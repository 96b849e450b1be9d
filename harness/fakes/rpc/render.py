"""The chain as JSON: blocks, transactions, receipts, logs. Each is rendered once and cached; a chain never changes.

The functions return JSON text and not objects, because responses are joined from such texts.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

from harness.world.bloom import logs_bloom
from harness.world.entropy import STATE
from harness.world.programs.base import CONTRACT
from harness.world.values import ZERO_ADDRESS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.world.chain import Chain
    from harness.world.values import Header, PlacedLog, Transaction

_EMPTY_UNCLES = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
"""keccak256(rlp([])): the hash of an empty list of uncles."""

CACHED_BLOCKS = 20_000


def hexadecimal(data: bytes) -> str:
    """Return bytes as the type DATA of JSON-RPC."""
    return "0x" + data.hex()


def array(items: Iterable[str]) -> str:
    """Join rendered values into a JSON array."""
    return f"[{','.join(items)}]"


@lru_cache(maxsize=CACHED_BLOCKS)
def block(chain: Chain, number: int, *, full: bool) -> str:
    """Return a block as in `eth_getBlockByNumber`, with full transactions or their hashes."""
    header = chain.header(number)
    transactions = chain.transactions(number)
    body = array(
        (_transaction(chain, header, transaction) for transaction in transactions)
        if full
        else (f'"0x{transaction.hash.hex()}"' for transaction in transactions)
    )
    fee = "" if header.base_fee_per_gas is None else f'"baseFeePerGas":"{header.base_fee_per_gas:#x}",'
    roots = [hexadecimal(chain.entropy(number).bytes_for(STATE, bytes((index,)) + header.hash)) for index in range(3)]
    return (
        f'{{"number":"{number:#x}","hash":"0x{header.hash.hex()}","parentHash":"0x{header.parent_hash.hex()}",'
        f'"nonce":"0x0000000000000000","mixHash":"0x{header.hash.hex()}","sha3Uncles":"{_EMPTY_UNCLES}",'
        f'"logsBloom":"0x{chain.bloom(number).hex()}","stateRoot":"{roots[0]}","transactionsRoot":"{roots[1]}",'
        f'"receiptsRoot":"{roots[2]}","miner":"0x{header.author.hex()}","difficulty":"0x0",'
        f'"totalDifficulty":"{header.total_difficulty:#x}","extraData":"0x{header.extra_data.hex()}",'
        f'"size":"{header.size:#x}","gasLimit":"{header.gas_limit:#x}","gasUsed":"{header.gas_used:#x}",'
        f'"timestamp":"{header.timestamp:#x}",{fee}"transactions":{body},"uncles":[]}}'
    )


def transaction(chain: Chain, tx: Transaction) -> str:
    """Return one transaction as in `eth_getTransactionByHash`."""
    return _transaction(chain, chain.header(tx.block_number), tx)


def _transaction(chain: Chain, header: Header, tx: Transaction) -> str:
    fields: dict[str, object] = {
        "hash": hexadecimal(tx.hash),
        "blockHash": hexadecimal(header.hash),
        "blockNumber": hex(tx.block_number),
        "transactionIndex": hex(tx.transaction_index),
        "from": hexadecimal(tx.sender),
        "to": None if tx.to is None else hexadecimal(tx.to),
        "nonce": hex(tx.nonce),
        "value": hex(tx.value),
        "input": hexadecimal(tx.input),
        "gas": hex(tx.gas_limit),
        "gasPrice": hex(tx.gas_price),
        "type": hex(tx.type),
        "chainId": hex(chain.chain_id),
        "v": "0x1",
        "r": hexadecimal(tx.random_bytes[:32]),
        "s": hexadecimal(tx.random_bytes[32:64]),
    }
    if tx.max_fee_per_gas is not None and tx.max_priority_fee_per_gas is not None:
        fields["maxFeePerGas"] = hex(tx.max_fee_per_gas)
        fields["maxPriorityFeePerGas"] = hex(tx.max_priority_fee_per_gas)
    if tx.type:
        fields["accessList"] = []
    return json.dumps(fields, separators=(",", ":"))


@lru_cache(maxsize=CACHED_BLOCKS)
def receipts(chain: Chain, number: int) -> tuple[str, ...]:
    """Return the receipts of a block's transactions, in order."""
    header = chain.header(number)
    by_transaction: dict[int, list[PlacedLog]] = {}
    for placed in chain.logs(number):
        by_transaction.setdefault(placed.transaction.transaction_index, []).append(placed)
    rendered = []
    cumulative = 0
    for tx in chain.transactions(number):
        cumulative += tx.gas_used
        placed_logs = by_transaction.get(tx.transaction_index, [])
        created = f'"0x{tx.random_bytes[CONTRACT].hex()}"' if tx.to is None and tx.success else "null"
        to = "null" if tx.to is None else f'"0x{tx.to.hex()}"'
        bloom = logs_bloom(placed.log for placed in placed_logs if placed.in_bloom)
        rendered.append(
            f'{{"transactionHash":"0x{tx.hash.hex()}","transactionIndex":"{tx.transaction_index:#x}",'
            f'"blockHash":"0x{header.hash.hex()}","blockNumber":"{number:#x}","from":"0x{tx.sender.hex()}","to":{to},'
            f'"cumulativeGasUsed":"{cumulative:#x}","gasUsed":"{tx.gas_used:#x}","contractAddress":{created},'
            f'"logs":{array(log(header, placed) for placed in placed_logs)},"logsBloom":"0x{bloom.hex()}",'
            f'"status":"{int(tx.success):#x}","type":"{tx.type:#x}","effectiveGasPrice":"{tx.gas_price:#x}"}}'
        )
    return tuple(rendered)


def block_receipts(chain: Chain, number: int) -> tuple[str, ...]:
    """Return the receipts of `eth_getBlockReceipts`; the quirk `block_log_receipts` adds one for a block log."""
    of_transactions = receipts(chain, number)
    if not (chain.quirks.block_log_receipts and chain.has_block_log(number)):
        return of_transactions
    header = chain.header(number)
    *_, placed = chain.logs(number)
    bloom = logs_bloom((placed.log,))
    of_block_log = (
        f'{{"transactionHash":"0x{header.hash.hex()}","transactionIndex":"{header.transaction_count:#x}",'
        f'"blockHash":"0x{header.hash.hex()}","blockNumber":"{number:#x}","from":"0x{ZERO_ADDRESS.hex()}","to":null,'
        f'"cumulativeGasUsed":"{header.gas_used:#x}","gasUsed":"0x0","contractAddress":null,'
        f'"logs":{array((log(header, placed),))},"logsBloom":"0x{bloom.hex()}",'
        f'"status":"0x1","type":"0x0","effectiveGasPrice":"0x0"}}'
    )
    return (*of_transactions, of_block_log)


@lru_cache(maxsize=CACHED_BLOCKS)
def logs(chain: Chain, number: int) -> tuple[tuple[PlacedLog, str], ...]:
    """Return a block's logs, each with its JSON."""
    header = chain.header(number)
    return tuple((placed, log(header, placed)) for placed in chain.logs(number))


@lru_cache(maxsize=CACHED_BLOCKS)
def all_logs(chain: Chain, number: int) -> str:
    """Return all logs of a block joined by commas, for the most frequent query."""
    return ",".join(rendered for _, rendered in logs(chain, number))


def log(header: Header, placed: PlacedLog) -> str:
    """Return one log as in `eth_getLogs`."""
    tx, log_index, (address, topics, data), _ = placed
    rendered_topics = ",".join(f'"0x{topic.hex()}"' for topic in topics)
    return (
        f'{{"address":"0x{address.hex()}","topics":[{rendered_topics}],"data":"0x{data.hex()}",'
        f'"blockHash":"0x{header.hash.hex()}","blockNumber":"{header.number:#x}",'
        f'"transactionHash":"0x{tx.hash.hex()}","transactionIndex":"{tx.transaction_index:#x}","logIndex":"{log_index:#x}",'
        '"removed":false}'
    )
