"""The accounts and contracts that a chain's transactions use, and the contracts' code."""

from __future__ import annotations

from dataclasses import dataclass

from harness.world.entropy import ACTOR, CODE, Entropy

_EOAS, _TOKENS, _COLLECTIBLES, _POOLS, _FACTORIES, _ODDITIES, _AUTHORS, _CODES = 64, 12, 6, 8, 4, 4, 8, 16


@dataclass(frozen=True, slots=True)
class Actors:
    """The addresses of one chain by role; each tuple has a fixed length, and a byte modulo it selects an item.

    `eoas` are externally owned accounts, `authors` receive the block rewards, `codes` are the bytecodes of contracts.
    """

    eoas: tuple[bytes, ...]
    tokens: tuple[bytes, ...]
    collectibles: tuple[bytes, ...]
    pools: tuple[bytes, ...]
    factories: tuple[bytes, ...]
    oddities: tuple[bytes, ...]
    authors: tuple[bytes, ...]
    library: bytes
    registry: bytes
    codes: tuple[bytes, ...]

    @property
    def contracts(self) -> frozenset[bytes]:
        """The addresses that had code before block 0; all others are accounts without code, or were created later."""
        return frozenset(
            (
                *self.tokens,
                *self.collectibles,
                *self.pools,
                *self.factories,
                *self.oddities,
                self.library,
                self.registry,
            )
        )

    def code_of(self, address: bytes) -> bytes:
        """Return the code of a contract, whether it existed before block 0 or was created later."""
        return self.codes[address[19] % len(self.codes)]


def draw_actors(entropy: Entropy) -> Actors:
    """Draw the actors of a chain."""

    def addresses(role: int, count: int) -> tuple[bytes, ...]:
        return tuple(entropy.bytes_at(ACTOR, role, index, 20) for index in range(count))

    library, registry = addresses(7, 2)
    return Actors(
        eoas=addresses(0, _EOAS),
        tokens=addresses(1, _TOKENS),
        collectibles=addresses(2, _COLLECTIBLES),
        pools=addresses(3, _POOLS),
        factories=addresses(4, _FACTORIES),
        oddities=addresses(5, _ODDITIES),
        authors=addresses(6, _AUTHORS),
        library=library,
        registry=registry,
        codes=tuple(b"\x60\x80" + entropy.bytes_at(CODE, index, 0, 30 + 17 * index) for index in range(_CODES)),
    )
