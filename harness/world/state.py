"""State in closed form: the accounts at any position of the chain, and what each transaction changes.

A position is (block, transaction index) as one number. Balances, nonces and slots are functions of the account and the
position, so that the state of any block can be computed alone. They also change between transactions that touch the
account; no dataset shows that. A contract has its code and nonce from the transaction that creates it, or until the
transaction that destroys it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from harness.world import programs
from harness.world.entropy import STATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.world.chain import Chain
    from harness.world.values import Frame, Transaction

POSITIONS_PER_BLOCK = 128
_MODULUS = 2**256
_ZERO = bytes(32)


class AccountState(NamedTuple):
    """An account at one position; `storage` has the slots that the transaction read or wrote, in order."""

    balance: int
    nonce: int
    code: bytes
    storage: tuple[tuple[bytes, bytes], ...]


class Account(NamedTuple):
    """An account before and after a transaction that touched it; None means that it did not exist."""

    address: bytes
    before: AccountState | None
    after: AccountState | None

    @property
    def changed(self) -> bool:
        """Whether the transaction changed the account."""
        return self.before != self.after


def position_of(number: int, index: int = 0) -> int:
    """Return the position just before a transaction; the state after a block is at the next block's first position."""
    return number * POSITIONS_PER_BLOCK + index


def balance(chain: Chain, address: bytes, position: int) -> int:
    """Return an account's balance in wei; some accounts have any 256-bit value, the others realistic amounts."""
    label = chain.entropy(position // POSITIONS_PER_BLOCK).bytes_for(STATE, b"balance" + address)
    width = 32 if label[0] < 32 else 9  # noqa: PLR2004 (an eighth of the accounts have any 256-bit value)
    return (int.from_bytes(label[:width], "big") + position * (1 + int.from_bytes(label[-6:], "big"))) % _MODULUS


def nonce(chain: Chain, address: bytes, position: int) -> int:
    """Return an account's nonce: the position for accounts without code and for factories, 1 for other contracts."""
    actors = chain.actors
    return position if address not in actors.contracts or address in actors.factories else 1


def code(chain: Chain, address: bytes) -> bytes:
    """Return the code of an account, empty if it is not a contract that existed before block 0."""
    return chain.actors.code_of(address) if address in chain.actors.contracts else b""


def code_at(chain: Chain, address: bytes, position: int) -> bytes:
    """Return an account's code at a position.

    A contract that a transaction creates has code from there on, one that a transaction destroys until there.
    """
    state = _lifecycle_state(chain, address, position)
    return code(chain, address) if state is None else state.code


def nonce_at(chain: Chain, address: bytes, position: int) -> int:
    """Return an account's nonce at a position, 0 for a contract that does not exist there."""
    state = _lifecycle_state(chain, address, position)
    return nonce(chain, address, position) if state is None else state.nonce


def _lifecycle_state(chain: Chain, address: bytes, position: int) -> AccountState | None:
    """Return the state of a contract that a transaction creates or destroys; None for other accounts."""
    transaction = chain.lifecycle_transaction(address)
    if transaction is None:
        return None
    account = next(touched for touched in accounts(chain, transaction) if touched.address == address)
    is_after = position > position_of(transaction.block_number, transaction.transaction_index)
    return (account.after if is_after else account.before) or AccountState(0, 0, b"", ())


def storage(chain: Chain, address: bytes, slot: bytes, position: int) -> bytes:
    """Return a slot's value: zero at one position in four."""
    name = b"slot" + address + slot + position.to_bytes(6, "big")
    value = chain.entropy(position // POSITIONS_PER_BLOCK).bytes_for(STATE, name)
    return _ZERO if value[0] < 64 else value  # noqa: PLR2004


def frames(root: Frame) -> Iterator[Frame]:
    """Yield a call and all its inner calls, callers before callees."""
    yield root
    for call in root.calls:
        yield from frames(call)


def root_of(chain: Chain, transaction: Transaction) -> Frame:
    """Return a transaction's outermost call."""
    return programs.PROGRAMS[transaction.program].root(transaction, chain.actors)


@lru_cache(maxsize=4096)
def accounts(chain: Chain, transaction: Transaction) -> tuple[Account, ...]:
    """Return the accounts that a transaction touched, by address."""
    return _Touches(chain, transaction).accounts()


class _Touches:
    """Computes what one transaction did to which accounts."""

    def __init__(self, chain: Chain, transaction: Transaction) -> None:
        self.chain, self.transaction = chain, transaction
        self.position = position_of(transaction.block_number, transaction.transaction_index)
        calls = list(frames(root_of(chain, transaction)))
        done = [call for call in calls if call.error is None] if transaction.success else []
        self.created = {call.to: call for call in done if call.op.startswith("CREATE")}
        self.destroyed = {call.sender for call in done if call.op == "SELFDESTRUCT"}
        paid = [call for call in done if call.value]
        author = chain.header(transaction.block_number).author
        self.balance_changed = {
            transaction.sender,
            author,
            *(call.sender for call in paid),
            *(call.to for call in paid),
        }
        self.received = {call.to: call.value for call in paid}
        self.nonce_changed = {transaction.sender, *(call.sender for call in done if call.op == "CREATE2")}
        self.slots: dict[bytes, list[tuple[bytes, bool]]] = {}
        for access in programs.PROGRAMS[transaction.program].accesses(transaction, chain.actors):
            self.slots.setdefault(access.address, []).append((access.slot, access.written))
        touched = (
            transaction.sender,
            author,
            *(call.to for call in calls),
            *(call.sender for call in calls),
            *self.slots,
        )
        self.touched = {address for address in touched if address}

    def accounts(self) -> tuple[Account, ...]:
        return tuple(Account(address, self._before(address), self._after(address)) for address in sorted(self.touched))

    def _is_new(self, address: bytes) -> bool:
        """Return whether the transaction created the account: as a contract, or by paying an unused address."""
        actors = self.chain.actors
        if address in self.created:
            return True
        known = address in actors.contracts or address in actors.eoas or address in actors.authors
        return not known and address not in self.destroyed and address in self.received

    def _before(self, address: bytes) -> AccountState | None:
        if self._is_new(address):
            return None
        actors = self.chain.actors
        own_code = actors.code_of(address) if address in self.destroyed else code(self.chain, address)
        values = tuple(
            (slot, storage(self.chain, address, slot, self.position)) for slot, _ in self.slots.get(address, ())
        )
        number = 1 if address in self.destroyed else nonce(self.chain, address, self.position)
        return AccountState(balance(self.chain, address, self.position), number, own_code, values)

    def _after(self, address: bytes) -> AccountState | None:
        if address in self.destroyed:
            return None
        later = self.position + 1
        values = tuple(
            (slot, storage(self.chain, address, slot, later if written else self.position))
            for slot, written in self.slots.get(address, ())
        )
        if self._is_new(address):
            creation = self.created.get(address)
            deployed = creation.output if creation else b""
            return AccountState(self.received.get(address, 0), 1 if creation else 0, deployed, values)
        return AccountState(
            balance(self.chain, address, later if address in self.balance_changed else self.position),
            nonce(self.chain, address, later if address in self.nonce_changed else self.position),
            code(self.chain, address),
            values,
        )
