"""Unusual behaviour of real chains and nodes, each a switch that is off by default."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quirks:
    """The quirks of a chain.

    Attributes:
        state_sync: every 16th block ends with a system transaction whose logs are not in the bloom (Polygon).
        zero_bloom: every header's bloom is all zeros, whatever the logs.
        full_bloom: every header's bloom is all ones, even without logs (zkSync).
        restarting_log_index: log indexes start at 0 again in each transaction.
        deposits: every block begins with a deposit transaction (type 0x7e), even if it has no other (OP stack).
        debug_refuses_genesis: `debug_*` for block 0 returns an error (geth: "genesis is not traceable").
        block_rewards: `trace_block` ends with the author's reward, which has no transaction.
        subsecond: four blocks a second, so that consecutive blocks share a timestamp.
        no_finalized_tag: the node does not know the tags `finalized` and `safe`.
        no_block_receipts: the node has no `eth_getBlockReceipts`.
        no_receipts: the node has no `eth_getBlockReceipts` and no `eth_getTransactionReceipt`, so that Cryo can't
            extract `transactions`. With `full_bloom` or `zero_bloom`, `eth_getLogs` is the only source of logs.
        block_logs: every 10th block ends with a log that belongs to no transaction: its `transactionHash` is the
            block's hash, its `transactionIndex` the number of transactions. No receipt contains it.
        block_log_receipts: the same logs, with an additional receipt for each in `eth_getBlockReceipts`.
        hydrated_blocks: blocks always contain full transactions, even if only hashes were requested.
        large_headers: every HTTP answer has a header of 9,000 bytes.
        late_start: no block below 1,500 has transactions, as on a chain that was unused at first.
    """

    state_sync: bool = False
    zero_bloom: bool = False
    full_bloom: bool = False
    restarting_log_index: bool = False
    deposits: bool = False
    debug_refuses_genesis: bool = False
    block_rewards: bool = False
    subsecond: bool = False
    no_finalized_tag: bool = False
    no_block_receipts: bool = False
    no_receipts: bool = False
    block_logs: bool = False
    block_log_receipts: bool = False
    hydrated_blocks: bool = False
    large_headers: bool = False
    late_start: bool = False
