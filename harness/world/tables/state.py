"""The datasets of what transactions read and change: the reads, Parity's diffs, geth's diffs.

Two bugs of Cryo 0.3.2 are reproduced: `code_reads` contains the hexadecimal text of the code; geth's diffs have zero
(or no code) as the new value of what a transaction did not change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.world.state import Account, AccountState, accounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.world.chain import Chain
    from harness.world.values import Transaction

    Rows = Callable[[Chain, int], Iterator[tuple[object, ...]]]

_LOCATION = ("block_number", "transaction_index", "transaction_hash")
_NO_ACCOUNT = AccountState(0, 0, b"", ())
_ZERO = bytes(32)

READS = {
    "balance_reads": (*_LOCATION, "address", "balance"),
    "code_reads": (*_LOCATION, "contract_address", "code"),
    "nonce_reads": (*_LOCATION, "address", "nonce"),
    "storage_reads": (*_LOCATION, "contract_address", "slot", "value"),
}
DIFFS = {
    "balance_diffs": (*_LOCATION, "address", "from_value", "to_value"),
    "code_diffs": (*_LOCATION, "address", "from_value", "to_value"),
    "nonce_diffs": (*_LOCATION, "address", "from_value", "to_value"),
    "storage_diffs": (*_LOCATION, "address", "slot", "from_value", "to_value"),
}
GETH_DIFFS = {f"geth_{name}": fields for name, fields in DIFFS.items()}


def reads(dataset: str) -> Rows:
    """Return the rows of one of the reads: the accounts before each transaction that touched them."""
    values: Callable[[AccountState], list[tuple[object, ...]]] = {
        "balance_reads": lambda state: [(state.balance,)],
        "code_reads": lambda state: [(f"0x{state.code.hex()}".encode(),)] if state.code else [],
        "nonce_reads": lambda state: [(state.nonce,)] if state.nonce else [],
        "storage_reads": lambda state: sorted(state.storage),
    }[dataset]
    return lambda chain, number: (
        (*_location(transaction), account.address, *value)
        for transaction, account in _touched(chain, number)
        if account.before is not None
        for value in values(account.before)
    )


def diffs(dataset: str) -> Rows:
    """Return the rows of one of Parity's diffs: all changes, with creations and destructions of accounts."""
    values = {"balance_diffs": _balance, "code_diffs": _code, "nonce_diffs": _nonce, "storage_diffs": _slots}[dataset]
    return lambda chain, number: (
        (*_location(transaction), account.address, *value)
        for transaction, account in _touched(chain, number)
        if account.changed
        for value in values(account)
    )


def geth_diffs(dataset: str) -> Rows:
    """Return the rows of one of geth's diffs: one row per changed account or changed slot."""
    values = {
        "geth_balance_diffs": _geth_balance,
        "geth_code_diffs": _geth_code,
        "geth_nonce_diffs": _geth_nonce,
        "geth_storage_diffs": _slots,
    }[dataset]
    return lambda chain, number: (
        (*_location(transaction), account.address, *value)
        for transaction, account in _touched(chain, number)
        if account.changed
        for value in values(account)
    )


def _touched(chain: Chain, number: int) -> Iterator[tuple[Transaction, Account]]:
    for transaction in chain.transactions(number):
        for account in accounts(chain, transaction):
            yield transaction, account


def _location(transaction: Transaction) -> tuple[object, ...]:
    return transaction.block_number, transaction.transaction_index, transaction.hash


def _ends(account: Account) -> tuple[AccountState, AccountState]:
    return account.before or _NO_ACCOUNT, account.after or _NO_ACCOUNT


def _exists_before_and_after(account: Account) -> bool:
    return account.before is not None and account.after is not None


def _balance(account: Account) -> list[tuple[object, ...]]:
    before, after = _ends(account)
    return (
        []
        if _exists_before_and_after(account) and before.balance == after.balance
        else [(before.balance, after.balance)]
    )


def _code(account: Account) -> list[tuple[object, ...]]:
    before, after = _ends(account)
    same = before.code == after.code if account.before is None or _exists_before_and_after(account) else False
    return [] if same else [(before.code, after.code)]


def _nonce(account: Account) -> list[tuple[object, ...]]:
    before, after = _ends(account)
    return [] if _exists_before_and_after(account) and before.nonce == after.nonce else [(before.nonce, after.nonce)]


def _slots(account: Account) -> list[tuple[object, ...]]:
    before, after = (dict(state.storage) for state in _ends(account))
    slots = sorted(before.keys() | after.keys())
    ends = ((slot, before.get(slot, _ZERO), after.get(slot, _ZERO)) for slot in slots)
    return [(slot, old, new) for slot, old, new in ends if old != new]


def _geth_balance(account: Account) -> list[tuple[object, ...]]:
    before, after = _ends(account)
    return [(before.balance, 0 if before.balance == after.balance else after.balance)]


def _geth_code(account: Account) -> list[tuple[object, ...]]:
    before, after = _ends(account)
    return [(before.code, b"" if before.code == after.code else after.code)]


def _geth_nonce(account: Account) -> list[tuple[object, ...]]:
    before, after = _ends(account)
    return [(before.nonce, 0 if before.nonce == after.nonce else after.nonce)]
