"""The dataset `vm_traces`: every step of Parity's VM traces, sorted by the gas left after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.world.steps import flat, steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.world.chain import Chain

FIELDS = ("block_number", "transaction_index", "pc", "cost", "used", "op")


def rows(chain: Chain, number: int) -> Iterator[tuple[object, ...]]:
    """Yield the steps by gas left; failed steps have no value there and come first."""
    for transaction in chain.transactions(number):
        run = [
            (step.pc, step.cost, None if step.failed else step.gas - step.cost, step.op)
            for step in flat(steps(chain, transaction))
        ]
        run.sort(key=lambda row: (row[2] is not None, row[2] or 0))
        for row in run:
            yield (number, transaction.transaction_index, *row)
