"""State in closed form: what an account holds at any place of the chain, and what each transaction changes of it.

A place is (block, transaction index) as one number. Balances, nonces and slots are functions of the account and the
place, so any block's state can be had at random access; they drift between touches as well, which no dataset shows.
A contract that a transaction creates or destroys has its code and nonce from then, or until then.
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

PLACES_PER_BLOCK = 128
_MODULUS = 2**256
_ZERO = bytes(32)


class AccountState(NamedTuple):
    """An account at one place; `storage` has the slots that the transaction looked at, in order."""

    balance: int
    nonce: int
    code: bytes
    storage: tuple[tuple[bytes, bytes], ...]


class Account(NamedTuple):
    """An account before and after one transaction that touched it: None where it did not exist."""

    address: bytes
    before: AccountState | None
    after: AccountState | None

    @property
    def changed(self) -> bool:
        """Whether the transaction changed anything of it."""
        return self.before != self.after


def place_of(number: int, index: int = 0) -> int:
    """Return the place just before a transaction; a block's state is that of the next block's first place."""
    return number * PLACES_PER_BLOCK + index


def balance(chain: Chain, address: bytes, place: int) -> int:
    """Return an account's wei: mostly ether-sized, for some accounts anything that 256 bits hold."""
    label = chain.entropy(place // PLACES_PER_BLOCK).label(STATE, b"balance" + address)
    width = 32 if label[0] < 32 else 9  # noqa: PLR2004 (an eighth of the accounts are rich)
    return (int.from_bytes(label[:width], "big") + place * (1 + int.from_bytes(label[-6:], "big"))) % _MODULUS


def nonce(chain: Chain, address: bytes, place: int) -> int:
    """Return an account's nonce: the place for people and factories, 1 for other contracts."""
    actors = chain.actors
    return place if address not in actors.contracts or address in actors.factories else 1


def code(chain: Chain, address: bytes) -> bytes:
    """Return an account's code: none for people."""
    return chain.actors.code_of(address) if address in chain.actors.contracts else b""


def code_at(chain: Chain, address: bytes, place: int) -> bytes:
    """Return an account's code at a place.

    A contract that a transaction created has it from there on, one that a transaction destroyed until there.
    """
    found = _made_or_unmade(chain, address, place)
    return code(chain, address) if found is None else found.code


def nonce_at(chain: Chain, address: bytes, place: int) -> int:
    """Return an account's nonce at a place, 0 for a contract that is not there yet or any more."""
    found = _made_or_unmade(chain, address, place)
    return nonce(chain, address, place) if found is None else found.nonce


def _made_or_unmade(chain: Chain, address: bytes, place: int) -> AccountState | None:
    """Return the state at a place of a contract that some transaction creates or destroys, None for other accounts."""
    transaction = chain.life_and_death(address)
    if transaction is None:
        return None
    account = next(each for each in accounts(chain, transaction) if each.address == address)
    over = place > place_of(transaction.block_number, transaction.transaction_index)
    return (account.after if over else account.before) or AccountState(0, 0, b"", ())


def storage(chain: Chain, address: bytes, slot: bytes, place: int) -> bytes:
    """Return a slot's value: zero for one place in four."""
    name = b"slot" + address + slot + place.to_bytes(6, "big")
    value = chain.entropy(place // PLACES_PER_BLOCK).label(STATE, name)
    return _ZERO if value[0] < 64 else value  # noqa: PLR2004


def frames(root: Frame) -> Iterator[Frame]:
    """Yield a call and all below it, each before those that it made."""
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
    """Works out what one transaction did to whom."""

    def __init__(self, chain: Chain, transaction: Transaction) -> None:
        self.chain, self.transaction = chain, transaction
        self.place = place_of(transaction.block_number, transaction.transaction_index)
        calls = list(frames(root_of(chain, transaction)))
        done = [call for call in calls if call.error is None] if transaction.success else []
        self.created = {call.to: call for call in done if call.op.startswith("CREATE")}
        self.destroyed = {call.sender for call in done if call.op == "SELFDESTRUCT"}
        paid = [call for call in done if call.value]
        author = chain.header(transaction.block_number).author
        self.rich = {transaction.sender, author, *(call.sender for call in paid), *(call.to for call in paid)}
        self.received = {call.to: call.value for call in paid}
        self.spent = {transaction.sender, *(call.sender for call in done if call.op == "CREATE2")}
        self.slots: dict[bytes, list[tuple[bytes, bool]]] = {}
        for access in programs.PROGRAMS[transaction.program].accesses(transaction, chain.actors):
            self.slots.setdefault(access.address, []).append((access.slot, access.written))
        met = (transaction.sender, author, *(call.to for call in calls), *(call.sender for call in calls), *self.slots)
        self.met = {address for address in met if address}

    def accounts(self) -> tuple[Account, ...]:
        return tuple(Account(address, self._before(address), self._after(address)) for address in sorted(self.met))

    def _is_new(self, address: bytes) -> bool:
        """Tell whether the transaction made the account: by creating it, or by paying somebody unseen."""
        actors = self.chain.actors
        if address in self.created:
            return True
        known = address in actors.contracts or address in actors.people or address in actors.authors
        return not known and address not in self.destroyed and address in self.received

    def _before(self, address: bytes) -> AccountState | None:
        if self._is_new(address):
            return None
        actors = self.chain.actors
        own_code = actors.code_of(address) if address in self.destroyed else code(self.chain, address)
        values = tuple(
            (slot, storage(self.chain, address, slot, self.place)) for slot, _ in self.slots.get(address, ())
        )
        number = 1 if address in self.destroyed else nonce(self.chain, address, self.place)
        return AccountState(balance(self.chain, address, self.place), number, own_code, values)

    def _after(self, address: bytes) -> AccountState | None:
        if address in self.destroyed:
            return None
        later = self.place + 1
        values = tuple(
            (slot, storage(self.chain, address, slot, later if written else self.place))
            for slot, written in self.slots.get(address, ())
        )
        if self._is_new(address):
            made = self.created.get(address)
            return AccountState(self.received.get(address, 0), 1 if made else 0, made.output if made else b"", values)
        return AccountState(
            balance(self.chain, address, later if address in self.rich else self.place),
            nonce(self.chain, address, later if address in self.spent else self.place),
            code(self.chain, address),
            values,
        )
