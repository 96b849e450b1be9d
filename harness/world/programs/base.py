"""The interface of a program, and how a program reads the 192 random bytes of a transaction.

The hash uses bytes 0 to 31. Each of bytes 32 to 63 is a choice, whose meaning depends on the program. Then follow four
words of 32 bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from harness.world.values import MAX_UINT256, Access, Frame, Log, Transaction

if TYPE_CHECKING:
    from harness.world.actors import Actors

RANDOM_BYTES_PER_TRANSACTION = 192
PROGRAM, SENDER, VALUE, KIND, RECIPIENT, AMOUNT, PICK, OTHER = range(32, 40)
TIP = slice(40, 46)

CONTRACT = slice(96, 116)
"""The position, in the random bytes, of the address of a contract which the transaction creates or destroys."""

TRANSFER_EVENT = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
"""keccak256("Transfer(address,address,uint256)"): the same for ERC-20 and ERC-721."""

APPROVAL_EVENT = bytes.fromhex("8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925")
"""keccak256("Approval(address,address,uint256)")."""

INTRINSIC_GAS = 21_000
"""The gas that any transaction costs before it runs (yellow paper, G_transaction)."""


class Intent(NamedTuple):
    """The fields that the sender sets, and whether the transaction will succeed."""

    to: bytes | None
    value: int
    input: bytes
    success: bool = True


class Program(Protocol):
    """One kind of transaction: pure functions of the transaction and the chain's actors."""

    def intent(self, random_bytes: bytes, actors: Actors) -> Intent:
        """Return recipient, value and input of the transaction, and whether it succeeds."""
        ...

    def logs(self, transaction: Transaction, actors: Actors) -> tuple[Log, ...]:
        """Return the logs that it emits, in order."""
        ...

    def root(self, transaction: Transaction, actors: Actors) -> Frame:
        """Return its outermost call, which contains all others."""
        ...

    def accesses(self, transaction: Transaction, actors: Actors) -> tuple[Access, ...]:
        """Return the storage slots that it reads or writes, each once."""
        ...


def pick(choices: tuple[bytes, ...], byte: int) -> bytes:
    """Return the choice that a byte selects."""
    return choices[byte % len(choices)]


def word(random_bytes: bytes, index: int) -> bytes:
    """Return the `index`th of the four words in the random bytes."""
    return random_bytes[64 + 32 * index : 96 + 32 * index]


def padded(address: bytes) -> bytes:
    """Return an address as a topic or an argument."""
    return bytes(12) + address


def amount(choice: int, entropy: bytes) -> int:
    """Return an amount of tokens or wei: zero, very small, of the order of ether, or any 256-bit value."""
    kind = choice & 15
    if kind < 4:  # noqa: PLR2004 (quarters and sixteenths of the choices)
        return 0
    if kind < 8:  # noqa: PLR2004
        return int.from_bytes(entropy[:2], "big") + 1
    if kind < 14:  # noqa: PLR2004
        return int.from_bytes(entropy[:8], "big")
    return MAX_UINT256 if kind == 15 else int.from_bytes(entropy, "big")  # noqa: PLR2004


def uint(value: int) -> bytes:
    """Return an integer as a 32-byte word of the EVM."""
    return value.to_bytes(32, "big")


def outermost(transaction: Transaction, **over: object) -> Frame:
    """Return a transaction's outermost call without inner calls; `over` replaces fields."""
    gas = max(0, transaction.gas_limit - INTRINSIC_GAS)
    frame = Frame(
        op="CALL",
        sender=transaction.sender,
        to=transaction.to,
        value=transaction.value,
        gas=gas,
        gas_used=min(gas, max(0, transaction.gas_used - INTRINSIC_GAS)),
        input=transaction.input,
        output=b"",
        error=None,
        calls=(),
    )
    return frame._replace(**over)  # type: ignore[arg-type]


def inner(op: str, outer: Frame, to: bytes | None, data: bytes, **over: object) -> Frame:
    """Return a call that the callee of `outer` makes with part of its gas; `over` replaces fields."""
    frame = Frame(
        op=op,
        sender=outer.to or b"",
        to=to,
        value=0,
        gas=outer.gas * 63 // 64,
        gas_used=outer.gas_used // 3,
        input=data,
        output=b"",
        error=None,
        calls=(),
    )
    return frame._replace(**over)  # type: ignore[arg-type]
