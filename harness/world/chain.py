"""The chain: a pure function of (seed, chain id, block number), any block at random access, the same everywhere.

Hashes are labels, not digests of content: each holds its own number, so that a transaction is found by its hash without
an index, and a block's parent hash is the label of the block below. Signatures are none, state is none so far.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.world.draws import Draws
from harness.world.model import Block, Log, Transaction

GENESIS_TIMESTAMP = 1_438_269_988
BLOCKS_PER_SECOND = 2
"""Two, so that the last block that uint32 numbers reach still has a uint32 timestamp."""

FEE_FORK_BLOCK = 100
"""The first block with a base fee."""

QUIET_EVERY, QUIET_FROM, QUIET_TO = 10_000, 4_000, 4_050
"""In every ten thousand blocks these fifty have no transactions."""

BUSY_EVERY, BUSY_TRANSACTIONS = 100, 40
"""Each hundredth block is full."""

MOST_TRANSACTIONS = 6
BLOCK_GAS_LIMIT = 30_000_000
TYPES = (0, 0, 1, 2, 2, 2, 3, 4, 0x7E)
"""How often each transaction type comes up; the last one is no type of Ethereum's (the OP stack's deposits have it)."""

VALUES = (0, 1, 10**9, 10**18, 2**64, 2**128 + 1, 2**255, 2**256 - 1)

TRANSFER_TOPIC = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
"""keccak256("Transfer(address,address,uint256)"), of ERC-20 and ERC-721 alike."""


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain; two with the same parameters are the same chain."""

    chain_id: int
    seed: int = 0

    def block(self, number: int) -> Block:
        """Return the block at a height; there is no highest one, since the head is whoever serves it's to say."""
        draws = Draws(self.seed, self.chain_id, "block", number)
        transactions: list[Transaction] = []
        first_log = 0
        for index in range(_transaction_count(draws, number)):
            transaction = self._transaction(number, index, first_log)
            first_log += len(transaction.logs)
            transactions.append(transaction)
        return Block(
            number=number,
            hash=self.block_hash(number),
            parent_hash=self.block_hash(number - 1) if number else bytes(32),
            timestamp=GENESIS_TIMESTAMP + number // BLOCKS_PER_SECOND,
            author=draws.bytes(20),
            extra_data=draws.bytes(draws.below(33)),
            base_fee=7 + draws.below(10**10) if number >= FEE_FORK_BLOCK else None,
            gas_limit=BLOCK_GAS_LIMIT,
            transactions=tuple(transactions),
        )

    def block_hash(self, number: int) -> bytes:
        """Return the hash of a block without making the block."""
        return Draws(self.seed, self.chain_id, "block-hash", number).bytes(24) + number.to_bytes(8, "big")

    def transaction_hash(self, number: int, index: int) -> bytes:
        """Return the hash of a transaction by its place."""
        label = Draws(self.seed, self.chain_id, "transaction-hash", number, index).bytes(20)
        return label + number.to_bytes(8, "big") + index.to_bytes(4, "big")

    def find_transaction(self, transaction_hash: bytes) -> tuple[Block, Transaction] | None:
        """Return a transaction and its block by hash, or None where the chain has no such hash."""
        number = int.from_bytes(transaction_hash[20:28], "big")
        index = int.from_bytes(transaction_hash[28:], "big")
        if self.transaction_hash(number, index) != transaction_hash:
            return None
        block = self.block(number)
        return (block, block.transactions[index]) if index < len(block.transactions) else None

    def _transaction(self, number: int, index: int, first_log: int) -> Transaction:
        draws = Draws(self.seed, self.chain_id, "transaction", number, index)
        kind = draws.choice(TYPES)
        creates = draws.below(16) == 0
        succeeded = draws.below(8) != 0
        priority = draws.below(10**9)
        gas_price = 10**9 + draws.below(10**11)
        has_fees = kind in (2, 3, 4)
        gas_used = 21_000 + draws.below(200_000)
        return Transaction(
            index=index,
            hash=self.transaction_hash(number, index),
            type=kind,
            nonce=draws.below(10**6),
            sender=draws.bytes(20),
            to=None if creates else draws.bytes(20),
            contract_address=draws.bytes(20) if creates else None,
            value=draws.choice(VALUES) if draws.below(4) else int.from_bytes(draws.bytes(12), "big"),
            input=_input(draws),
            gas_limit=gas_used + draws.below(100_000),
            gas_used=gas_used,
            gas_price=gas_price,
            max_priority_fee=priority if has_fees else None,
            max_fee=gas_price + priority if has_fees else None,
            succeeded=succeeded,
            logs=_logs(draws, first_log) if succeeded else (),
        )


def _transaction_count(draws: Draws, number: int) -> int:
    if QUIET_FROM <= number % QUIET_EVERY < QUIET_TO or number == 0:
        return 0
    if number % BUSY_EVERY == 0:
        return BUSY_TRANSACTIONS
    return draws.below(MOST_TRANSACTIONS + 1)


def _input(draws: Draws) -> bytes:
    """Call data: none, a selector and words with many zero bytes, or dense bytes."""
    form = draws.below(3)
    if form == 0:
        return b""
    if form == 1:
        words = (bytes(28) + draws.bytes(4) for _ in range(draws.below(4)))
        return draws.bytes(4) + b"".join(words)
    return draws.bytes(draws.below(200))


def _logs(draws: Draws, first: int) -> tuple[Log, ...]:
    """Events with 0 to 4 topics and any data, among them transfers of tokens of both standards."""
    logs = []
    for index in range(first, first + draws.below(4)):
        address = draws.bytes(20)
        parties = tuple(bytes(12) + draws.bytes(20) for _ in range(2))
        form = draws.below(4)
        if form == 0:
            logs.append(Log(index, address, (TRANSFER_TOPIC, *parties), draws.bytes(32)))
        elif form == 1:
            logs.append(Log(index, address, (TRANSFER_TOPIC, *parties, draws.bytes(32)), b""))
        else:
            topics = tuple(draws.bytes(32) for _ in range(draws.below(5)))
            logs.append(Log(index, address, topics, draws.bytes(32 * draws.below(4))))
    return tuple(logs)
