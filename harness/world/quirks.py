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
