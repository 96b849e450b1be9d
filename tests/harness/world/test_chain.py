"""The chain: a pure function of seed, chain id and block number."""

import hashlib
import subprocess
import sys
from collections import Counter

import pytest

from harness.world import state
from harness.world.bloom import bloom_bits, keccak256, logs_bloom
from harness.world.chain import BASE_FEE_FORK, EMPTY_RUN, LAST_BLOCK, LATE_START, Chain
from harness.world.programs import LIFECYCLE, PROGRAMS
from harness.world.programs.base import CONTRACT
from harness.world.quirks import Quirks
from harness.world.values import MAX_UINT256

NUMBERS = (0, 1, 13, BASE_FEE_FORK, 80, 1000, 99_999_999, 100_000_007, LAST_BLOCK)

DIGEST_SCRIPT = """
import hashlib
from harness.world.chain import Chain
digest = hashlib.sha256()
for chain in (Chain(1), Chain(1, seed=7), Chain(137)):
    for number in {numbers}:
        digest.update(repr((chain.header(number), chain.transactions(number), list(chain.logs(number)))).encode())
print(digest.hexdigest())
"""

GOLDEN = "c5fe32e28ec4b9c97d82ea33b51f3d2fa3c8eb1149ad6f8fac0f53020a37ac29"


def test_the_chain_is_the_same_everywhere():
    """The digest of headers, transactions and logs of three chains never changes."""
    digest = hashlib.sha256()
    for chain in (Chain(1), Chain(1, seed=7), Chain(137)):
        for number in NUMBERS:
            digest.update(repr((chain.header(number), chain.transactions(number), list(chain.logs(number)))).encode())
    assert digest.hexdigest() == GOLDEN


def test_the_chain_does_not_depend_on_the_process():
    """Another process, with another hash seed, computes the same digest."""
    script = DIGEST_SCRIPT.format(numbers=NUMBERS)
    command = [sys.executable, "-c", script]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "4711"})
    assert printed.stdout.strip() == GOLDEN


def test_blocks_link_by_parent_hash():
    """A block's parent hash is its parent's hash, at any height; block 0 has the hash of nothing."""
    chain = Chain(1)
    assert chain.header(0).parent_hash == bytes(32)
    for number in NUMBERS[1:]:
        assert chain.header(number).parent_hash == chain.header(number - 1).hash


@pytest.mark.parametrize("chain", [Chain(1), Chain(137, seed=11), Chain(1).reorganised(at=100)])
def test_a_contract_has_code_from_its_creation_until_its_destruction(chain: Chain):
    """At any position, an account's code and nonce are those that the earlier transactions left."""
    changed = [
        (account, state.position_of(number, transaction.transaction_index))
        for number in (*range(200), *range(100_000_000, 100_000_100))
        for transaction in chain.transactions(number)
        if transaction.program in LIFECYCLE
        for account in state.accounts(chain, transaction)
        if account.address == transaction.random_bytes[CONTRACT]
    ]
    assert {account.before is None for account, _ in changed} == {True, False}
    for account, position in changed:
        for expected, at in ((account.before, position), (account.after, position + 1)):
            assert state.code_at(chain, account.address, at) == (b"" if expected is None else expected.code)
            assert state.nonce_at(chain, account.address, at) == (0 if expected is None else expected.nonce)


@pytest.mark.parametrize("other", [Chain(1, seed=1), Chain(5)])
def test_another_seed_or_chain_id_is_another_chain(other: Chain):
    """No block hash of one chain is found on another."""
    assert not {Chain(1).hash(number) for number in range(50)} & {other.hash(number) for number in range(50)}


def test_a_block_and_its_transactions_are_found_by_their_hashes():
    """Every block and transaction is found by its hash; for an unknown hash there is none."""
    chain = Chain(1)
    for number in NUMBERS:
        assert chain.number_of(chain.hash(number)) == number
        for transaction in chain.transactions(number):
            assert chain.transaction_by_hash(transaction.hash) == transaction
    assert chain.number_of(bytes(32)) is None
    assert chain.transaction_by_hash(bytes(32)) is None


def test_a_reorg_replaces_all_blocks_from_its_first_one():
    """After a reorg the blocks below it are the same; those above have other hashes and are still linked."""
    chain = Chain(1)
    after = chain.reorganised(at=500)
    assert after.hash(499) == chain.hash(499)
    assert after.header(500).parent_hash == chain.hash(499)
    assert after.hash(500) != chain.hash(500)
    assert after.header(501).parent_hash == after.hash(500)
    assert after.number_of(chain.hash(600)) is None


def test_the_gas_of_a_block_is_the_sum_of_its_transactions():
    """The gas used in a header is the sum of the gas that the transactions used."""
    chain = Chain(1)
    for number in range(300):
        assert chain.header(number).gas_used == sum(tx.gas_used for tx in chain.transactions(number))


def test_the_chain_covers_unusual_cases():
    """400 blocks contain every transaction type and program, extreme values, and every number of topics."""
    chain = Chain(1)
    transactions = [tx for number in range(BASE_FEE_FORK, 464) for tx in chain.transactions(number)]
    logs = [placed.log for number in range(BASE_FEE_FORK, 464) for placed in chain.logs(number)]
    assert {tx.type for tx in transactions} == {0, 1, 2, 3, 4, 0x6A}
    assert {type(PROGRAMS[tx.program]) for tx in transactions} == {type(program) for program in PROGRAMS[:16]}
    assert {0, MAX_UINT256} < {tx.value for tx in transactions}
    assert {True, False} == {tx.success for tx in transactions}
    assert {len(log.topics) for log in logs} == set(range(5))
    assert {len(log.data) == 0 for log in logs} == {True, False}
    assert max(Counter(tx.block_number for tx in transactions).values()) > 40
    assert {len(chain.header(number).extra_data) for number in range(2000)} == set(range(33))


def test_some_blocks_are_empty_and_the_base_fee_begins_at_its_fork():
    """The blocks of `EMPTY_RUN`, modulo 128, have no transactions; below the fork there is no base fee."""
    chain = Chain(1)
    assert not any(chain.transactions(128 * 9 + number) for number in EMPTY_RUN)
    assert chain.header(BASE_FEE_FORK - 1).base_fee_per_gas is None
    assert chain.header(BASE_FEE_FORK).base_fee_per_gas is not None


def test_the_bloom_contains_every_address_and_topic():
    """The header's bloom has three bits of Keccak-256 for each address and topic, as in the yellow paper."""
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    chain = Chain(1)
    placed = list(chain.logs(13))
    bloom = int.from_bytes(chain.bloom(13), "big")
    for item in {topic for p in placed for topic in p.log.topics} | {p.log.address for p in placed}:
        assert bloom & bloom_bits(item) == bloom_bits(item)
    assert chain.bloom(80) == bytes(256) == logs_bloom(())


@pytest.mark.parametrize("number", [-1, LAST_BLOCK + 1])
def test_a_number_without_a_block_is_an_error(number: int):
    """For a negative number and for one past 32 bits the error says that there is no block."""
    with pytest.raises(ValueError, match="is not between"):
        Chain(1).header(number)


def test_each_quirk_has_its_effect():
    """Each quirk of deposits, state syncs, blooms, log indexes and timestamps takes effect only when it is on."""
    deposits = Chain(10, quirks=Quirks(deposits=True))
    assert [tx.type for tx in deposits.transactions(80)] == [0x7E]
    synced = Chain(137, quirks=Quirks(state_sync=True))
    outside = [placed for placed in synced.logs(32) if not placed.in_bloom]
    assert len(outside) == 2
    assert synced.header(32).gas_used == sum(tx.gas_used for tx in synced.transactions(32))
    assert Chain(1, quirks=Quirks(zero_bloom=True)).bloom(13) == bytes(256)
    assert Chain(1, quirks=Quirks(full_bloom=True)).bloom(80) == b"\xff" * 256
    restarting = [placed.log_index for placed in Chain(1, quirks=Quirks(restarting_log_index=True)).logs(13)]
    assert restarting.count(0) > 1
    late = Chain(1, quirks=Quirks(late_start=True))
    assert not any(late.transactions(number) for number in range(LATE_START))
    assert late.hash(13) == Chain(1).hash(13)
    assert any(late.logs(number) for number in range(LATE_START, LATE_START + 20))
    assert Chain(1, quirks=Quirks(subsecond=True)).timestamp(5) == Chain(1, quirks=Quirks(subsecond=True)).timestamp(4)
    assert list(range(len(list(Chain(1).logs(13))))) == [placed.log_index for placed in Chain(1).logs(13)]


def test_every_timestamp_fits_32_bits():
    """The timestamp of the last block fits into Cryo's column."""
    assert Chain(1).timestamp(LAST_BLOCK) < 2**32


@pytest.mark.parametrize("quirk", ["block_logs", "block_log_receipts"])
def test_a_block_log_is_the_last_one_and_in_the_bloom(quirk: str):
    """Every 10th block, empty or not, ends with a log that has the block's hash and the next free indexes."""
    chain, plain = Chain(10, quirks=Quirks(**{quirk: True})), Chain(10)
    for number in range(1, 131):
        *others, last = [*plain.logs(number), None] if number % 10 else chain.logs(number)
        assert [placed.log for placed in others] == [placed.log for placed in plain.logs(number)]
        if last is not None:
            assert (last.transaction.hash, last.log_index) == (chain.hash(number), len(others))
            assert last.transaction.transaction_index == len(chain.transactions(number))
            assert chain.bloom(number) == logs_bloom([placed.log for placed in [*others, last]])
    assert chain.transactions(80) == ()
