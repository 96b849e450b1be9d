"""The ways in which real chains and nodes break what one would take for granted, each a switch, all off by default."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quirks:
    """Which oddities a chain has.

    Attributes:
        state_sync: every 16th block ends with a system transaction whose logs the bloom leaves out (Polygon).
        zero_bloom: every header's bloom is all zeros, whatever the logs.
        full_bloom: every header's bloom is all ones, even without logs (zkSync).
        restarting_log_index: log indexes start at 0 again in each transaction.
        deposits: every block begins with a deposit transaction (type 0x7e), blocks that are empty elsewhere too
            (OP stack).
        debug_refuses_genesis: `debug_*` of block 0 is an error (geth: "genesis is not traceable").
        block_rewards: `trace_block` ends with the author's reward, which has no transaction.
        subsecond: four blocks a second, so that neighbours share a timestamp.
        no_finalized_tag: the node does not know the tags `finalized` and `safe`.
        no_block_receipts: the node has no `eth_getBlockReceipts`.
        no_receipts: the node has neither `eth_getBlockReceipts` nor `eth_getTransactionReceipt`, so that Cryo can't
            extract `transactions`. With `full_bloom` (or `zero_bloom`) nothing but `eth_getLogs` tells of logs.
        block_logs: every 10th block ends with a log of its own, outside any transaction: its `transactionHash` is the
            block's hash, its `transactionIndex` the number of transactions. No receipt holds it.
        block_log_receipts: the same logs, and `eth_getBlockReceipts` has one receipt more for each.
        hydrated_blocks: blocks always come with whole transactions, also where only hashes were asked for.
        large_headers: every HTTP answer has a header of 9,000 bytes.
        late_start: no block below 1,500 has transactions, as on a chain that nobody used at first.
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
