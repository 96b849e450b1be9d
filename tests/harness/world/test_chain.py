"""The deterministic chain: the same blocks everywhere, and rich enough to hurt."""

import hashlib
from dataclasses import asdict

import pytest

from harness.world.chain import FEE_FORK_BLOCK, QUIET_FROM, QUIET_TO, Chain


def digest(chain: Chain, numbers: range) -> str:
    """Digest all that a few blocks hold."""
    return hashlib.sha256(repr([asdict(chain.block(number)) for number in numbers]).encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("chain", "numbers", "expected"),
    [
        (Chain(1), range(50), "8cde8edcab6fd17f"),
        (Chain(1, seed=7), range(50), "056729ada184b3cb"),
        (Chain(31337), range(100_000_000, 100_000_020), "0cc25bdc666b8ee5"),
    ],
)
def test_a_block_is_the_same_on_every_machine_and_version(chain: Chain, numbers: range, expected: str):
    """MOD-2 rests on it: digests recorded once, with this very function, hold everywhere."""
    assert digest(chain, numbers) == expected


def test_blocks_link_and_any_height_is_reached_at_once():
    """Each parent hash is the hash of the block below, at random access, up to the last number that Cryo can hold."""
    chain = Chain(5)
    for number in (1, 999, 123_456_789, 4_294_967_295):
        assert chain.block(number).parent_hash == chain.block(number - 1).hash
        assert chain.block(number).timestamp < 2**32
    assert chain.block(0).parent_hash == bytes(32)


def test_a_transaction_is_found_by_its_hash_and_no_other_hash_finds_one():
    """Hashes hold their place, and are still not to be guessed."""
    chain = Chain(5)
    block = chain.block(200)
    for transaction in block.transactions:
        assert chain.find_transaction(transaction.hash) == (block, transaction)
    assert chain.find_transaction(bytes(20) + block.transactions[0].hash[20:]) is None
    assert chain.find_transaction(Chain(6).block(200).transactions[0].hash) is None


def test_the_first_blocks_hold_every_kind_of_thing_that_hurts():
    """Within 2,000 blocks: empty and full ones, all types, creations, failures, 0 to 4 topics, the largest value."""
    blocks = [Chain(1).block(number) for number in range(2000)]
    transactions = [transaction for block in blocks for transaction in block.transactions]
    logs = [log for block in blocks for _, log in block.logs]
    assert {len(block.transactions) for block in blocks} >= {0, 1, 6, 40}
    assert {transaction.type for transaction in transactions} == {0, 1, 2, 3, 4, 0x7E}
    assert {transaction.to is None for transaction in transactions} == {True, False}
    assert {transaction.succeeded for transaction in transactions} == {True, False}
    assert {len(log.topics) for log in logs} == {0, 1, 2, 3, 4}
    assert max(transaction.value for transaction in transactions) == 2**256 - 1
    assert {len(block.extra_data) for block in blocks} == set(range(33))
    assert {block.base_fee is None for block in blocks[FEE_FORK_BLOCK:]} == {False}
    assert {block.base_fee is None for block in blocks[:FEE_FORK_BLOCK]} == {True}


def test_some_ranges_are_quiet():
    """Ranges without a single transaction exist, for empty files."""
    assert not any(Chain(1).block(number).transactions for number in range(QUIET_FROM, QUIET_TO))
