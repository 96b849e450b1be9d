"""The chain: a pure function of (seed, chain id, block number). Any block can be computed alone, on any machine.

Block hashes are labels, linked by parent hash; signatures are not valid; state is a closed-form function; blooms are
genuine. This module owns headers and transactions; what a transaction does is in `programs`, its changes in `state`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from struct import unpack
from typing import TYPE_CHECKING, NamedTuple

from harness.world import programs
from harness.world.actors import Actors, draw_actors
from harness.world.blocklogs import BLOCK_LOGS_EVERY, block_log
from harness.world.bloom import BLOOM_BYTES, logs_bloom
from harness.world.entropy import BLOCK, GAS, TRANSACTION, Entropy
from harness.world.programs.base import (
    CONTRACT,
    INTRINSIC_GAS,
    KIND,
    PROGRAM,
    RANDOM_BYTES_PER_TRANSACTION,
    SENDER,
    TIP,
)
from harness.world.quirks import Quirks
from harness.world.values import ZERO_ADDRESS, ZERO_HASH, Header, PlacedLog, Transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

LAST_BLOCK = 2**32 - 1
"""The highest block: the largest number that fits into Cryo's columns."""

BASE_FEE_FORK = 64
"""The first block with a base fee and with transactions of type 2 and above."""

EMPTY_RUN = range(80, 96)
"""Blocks whose number modulo 128 is in this range have no transactions, so that a whole range can be empty."""

LATE_START = 1_500
"""The first block with transactions on a chain with the quirk `late_start`."""

_FIRST_TIMESTAMP = 1_438_269_988
_SLOW_BLOCKS = 2**27
_SLOW_SECONDS = 12
"""One block every 12 s for the first 2^27 blocks, then four a second, so that the last timestamp fits into 32 bits."""

_CROWD_CYCLE, _CROWD_BLOCK = 97, 13
_NONCES_PER_BLOCK = 128
_LEGACY_TYPES = (0, 0, 0, 1)
_TYPES = (2, 2, 2, 2, 2, 2, 0, 0, 1, 1, 3, 3, 4, 2, 2, 0x6A)
"""0x6a is a type that no node supports today."""


@dataclass(frozen=True, slots=True)
class ChainReorg:
    """A reorganisation: from block `at` on, the canonical chain is the one with this `branch` number."""

    at: int
    branch: int


@dataclass(frozen=True, eq=False)
class Chain:
    """One chain, compared by identity; `reorgs` are oldest first, and the latest one that covers a block applies."""

    chain_id: int
    seed: int = 0
    quirks: Quirks = field(default_factory=Quirks)
    reorgs: tuple[ChainReorg, ...] = ()

    def __post_init__(self) -> None:
        keys = tuple(Entropy.of(self.seed, self.chain_id, reorg.at, reorg.branch) for reorg in self.reorgs)
        trunk = Entropy.of(self.seed, self.chain_id)
        object.__setattr__(self, "_trunk", trunk)
        starts = (reorg.at for reorg in self.reorgs)
        object.__setattr__(self, "_branches", tuple(zip(starts, keys, strict=True))[::-1])
        object.__setattr__(self, "actors", draw_actors(trunk))

    _trunk: Entropy = field(init=False, repr=False, compare=False)
    _branches: tuple[tuple[int, Entropy], ...] = field(init=False, repr=False, compare=False)
    actors: Actors = field(init=False, repr=False, compare=False)

    def reorganised(self, *, at: int, branch: int = 1) -> Chain:
        """Return the chain after a reorg that replaced all blocks from `at` on."""
        return replace(self, reorgs=(*self.reorgs, ChainReorg(at, branch)))

    def entropy(self, number: int) -> Entropy:
        """Return the source of bytes for the canonical block of a number."""
        for at, branch in self._branches:
            if number >= at:
                return branch
        return self._trunk

    def header(self, number: int) -> Header:
        """Return one block's header.

        Raises:
            ValueError: the number is negative or past `LAST_BLOCK`.
        """
        entropy = self.entropy(number)
        random_bytes = self._random_bytes(number)
        count = self._count(number, random_bytes)
        base_fee = _base_fee(number, random_bytes)
        return Header(
            number=number,
            hash=entropy.seal(random_bytes, number, 0),
            parent_hash=self.hash(number - 1) if number else ZERO_HASH,
            author=self.actors.authors[random_bytes[33] % 8],
            timestamp=self.timestamp(number),
            gas_limit=60_000_000,
            gas_used=sum(self._gas(number, count)),
            base_fee_per_gas=base_fee,
            extra_data=_extra_data(random_bytes),
            size=540 + 180 * count + random_bytes[40],
            total_difficulty=131_072 * min(number + 1, BASE_FEE_FORK),
            transaction_count=count,
        )

    def hash(self, number: int) -> bytes:
        """Return a block's hash, which is a label and not a digest."""
        entropy = self.entropy(number)
        return entropy.seal(entropy.bytes_at(BLOCK, number, 0, 24), number, 0)

    def number_of(self, block_hash: bytes) -> int | None:
        """Return the number of the canonical block with a hash, or None."""
        for entropy in (self._trunk, *(branch for _, branch in self._branches)):
            number, _ = entropy.unseal(block_hash)
            if self.hash(number) == block_hash:
                return number
        return None

    def transaction_by_hash(self, transaction_hash: bytes) -> Transaction | None:
        """Return the canonical transaction with a hash, or None."""
        for entropy in (self._trunk, *(branch for _, branch in self._branches)):
            number, index = entropy.unseal(transaction_hash)
            at_index = self.transactions(number)[index : index + 1]
            if at_index and at_index[0].hash == transaction_hash:
                return at_index[0]
        return None

    def lifecycle_transaction(self, contract: bytes) -> Transaction | None:
        """Return the canonical transaction that creates or destroys a contract, or None."""
        for entropy in (self._trunk, *(branch for _, branch in self._branches)):
            number, index = entropy.unseal(contract)
            for transaction in self.transactions(number)[index : index + 1]:
                if transaction.program in programs.LIFECYCLE and transaction.random_bytes[CONTRACT] == contract:
                    return transaction
        return None

    def timestamp(self, number: int) -> int:
        """Return a block's Unix time in seconds."""
        if self.quirks.subsecond:
            return _FIRST_TIMESTAMP + number // 4
        return _FIRST_TIMESTAMP + _SLOW_SECONDS * min(number, _SLOW_BLOCKS) + max(0, number - _SLOW_BLOCKS) // 4

    def transactions(self, number: int) -> tuple[Transaction, ...]:
        """Return a block's transactions in order; block 0 has none."""
        return _transactions(self, number)

    def logs(self, number: int) -> Iterator[PlacedLog]:
        """Yield a block's logs with their indexes; failed transactions have none."""
        actors, restarts = self.actors, self.quirks.restarting_log_index
        log_index = 0
        for transaction in self.transactions(number):
            if restarts:
                log_index = 0
            program = transaction.program
            for log in programs.PROGRAMS[program].logs(transaction, actors):
                yield PlacedLog(transaction, log_index, log, program != programs.STATE_SYNC)
                log_index += 1
        if self.has_block_log(number):
            yield block_log(self.header(number), token=actors.registry, log_index=0 if restarts else log_index)

    def bloom(self, number: int) -> bytes:
        """Return the logs bloom of a block's header."""
        if self.quirks.zero_bloom:
            return bytes(BLOOM_BYTES)
        if self.quirks.full_bloom:
            return b"\xff" * BLOOM_BYTES
        return logs_bloom(placed.log for placed in self.logs(number) if placed.in_bloom)

    def _random_bytes(self, number: int) -> bytes:
        """Return the random bytes of a block's header."""
        if not 0 <= number <= LAST_BLOCK:
            message = f"block {number} is not between 0 and {LAST_BLOCK}"
            raise ValueError(message)
        return self.entropy(number).bytes_at(BLOCK, number, 0, 96)

    def _count(self, number: int, random_bytes: bytes) -> int:
        return self._random_count(number, random_bytes) + self.has_deposit(number) + self.has_state_sync(number)

    def _random_count(self, number: int, random_bytes: bytes) -> int:
        if number == 0 or number % 128 in EMPTY_RUN or (self.quirks.late_start and number < LATE_START):
            return 0
        return 48 + random_bytes[32] % 64 if number % _CROWD_CYCLE == _CROWD_BLOCK else random_bytes[32] % 7

    def has_deposit(self, number: int) -> bool:
        """Return whether the first transaction of a block is a deposit."""
        return self.quirks.deposits and number > 0

    def has_state_sync(self, number: int) -> bool:
        """Return whether the last transaction of a block is a state sync."""
        return self.quirks.state_sync and number > 0 and number % 16 == 0

    def has_block_log(self, number: int) -> bool:
        """Return whether the last log of a block belongs to no transaction."""
        quirks = self.quirks
        return (quirks.block_logs or quirks.block_log_receipts) and number > 0 and number % BLOCK_LOGS_EVERY == 0

    def _gas(self, number: int, count: int) -> list[int]:
        """Return the gas that each transaction of a block used; a state sync uses none."""
        extras = unpack(f">{count}H", self.entropy(number).bytes_at(GAS, number, 0, 2 * count))
        gas = [INTRINSIC_GAS + 2 * extra for extra in extras]
        if self.has_state_sync(number):
            gas[-1] = 0
        return gas


def _extra_data(random_bytes: bytes) -> bytes:
    is_random = random_bytes[39] < 240  # noqa: PLR2004 (fifteen of sixteen)
    return random_bytes[64 : 64 + random_bytes[39] % 33] if is_random else b"world".ljust(32, b".")


def _base_fee(number: int, random_bytes: bytes) -> int | None:
    return 7 + int.from_bytes(random_bytes[34:39], "big") if number >= BASE_FEE_FORK else None


@lru_cache(maxsize=512)
def _transactions(chain: Chain, number: int) -> tuple[Transaction, ...]:
    # Without building the header, whose hashes and sums would add a fifth to the time.
    header_bytes, entropy = chain._random_bytes(number), chain.entropy(number)  # noqa: SLF001 (one module)
    count = chain._count(number, header_bytes)  # noqa: SLF001
    base_fee = _base_fee(number, header_bytes)
    transactions = []
    for index, gas_used in enumerate(chain._gas(number, count)):  # noqa: SLF001
        random_bytes = entropy.bytes_at(TRANSACTION, number, index, RANDOM_BYTES_PER_TRANSACTION)
        program = random_bytes[PROGRAM] % programs.ORDINARY_PROGRAMS
        if index == 0 and chain.has_deposit(number):
            program = programs.DEPOSIT
        elif index == count - 1 and chain.has_state_sync(number):
            program = programs.STATE_SYNC
        if program in programs.LIFECYCLE:
            contract = entropy.seal(random_bytes[CONTRACT], number, index, size=20)
            random_bytes = random_bytes[: CONTRACT.start] + contract + random_bytes[CONTRACT.stop :]
        inputs = _Inputs(
            number, index, entropy.seal(random_bytes, number, index), random_bytes, program, gas_used, base_fee
        )
        transactions.append(_transaction(chain.actors, inputs))
    return tuple(transactions)


class _Inputs(NamedTuple):
    """What a transaction is made from."""

    number: int
    transaction_index: int
    hash: bytes
    random_bytes: bytes
    program: int
    gas_used: int
    base_fee: int | None


def _transaction(actors: Actors, inputs: _Inputs) -> Transaction:
    random_bytes, base_fee = inputs.random_bytes, inputs.base_fee
    intent = programs.PROGRAMS[inputs.program].intent(random_bytes, actors)
    tip = int.from_bytes(random_bytes[TIP], "big") >> 8
    system = inputs.program >= programs.ORDINARY_PROGRAMS
    if inputs.program == programs.DEPOSIT:
        kind = 0x7E
    elif system or base_fee is None:
        kind = 0 if system else _LEGACY_TYPES[random_bytes[KIND] % 4]
    else:
        kind = _TYPES[random_bytes[KIND] % 16]
    capped = kind >= 2 and base_fee is not None and not system  # noqa: PLR2004 (EIP-1559 and after)
    price = 0 if system else tip + (base_fee or 1_000_000_000)
    return Transaction(
        block_number=inputs.number,
        transaction_index=inputs.transaction_index,
        hash=inputs.hash,
        random_bytes=random_bytes,
        program=inputs.program,
        sender=ZERO_ADDRESS if system else actors.eoas[random_bytes[SENDER] % 64],
        to=intent.to,
        nonce=inputs.number * _NONCES_PER_BLOCK + inputs.transaction_index,
        value=intent.value,
        input=intent.input,
        gas_limit=inputs.gas_used + (0 if system else random_bytes[SENDER] * random_bytes[KIND]),
        gas_used=inputs.gas_used,
        gas_price=price,
        type=kind,
        max_priority_fee_per_gas=tip if capped else None,
        max_fee_per_gas=2 * (base_fee or 0) + tip if capped else None,
        success=intent.success,
    )
