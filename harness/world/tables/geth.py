"""The datasets of geth's call tracers: `geth_calls`, `four_byte_counts`, `geth_opcodes`.

`four_byte_counts` reproduces a bug of Cryo 0.3.2: it drops transactions without counts and numbers the others from 0,
so that in a block with a plain payment the counts have the hashes of other transactions.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from harness.world.state import frames, root_of
from harness.world.steps import flat, steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.world.chain import Chain
    from harness.world.values import Frame, Transaction

ERRORS = {"revert": "execution reverted", "out of gas": "out of gas"}
SELECTOR_BYTES = 4

CALL_FIELDS = (
    "typ",
    "from_address",
    "to_address",
    "value",
    "gas",
    "gas_used",
    "input",
    "output",
    "error",
    "block_number",
    "transaction_hash",
    "transaction_index",
    "trace_address",
)
COUNT_FIELDS = ("block_number", "transaction_index", "transaction_hash", "signature", "size", "count")
OPCODE_FIELDS = (
    "block_number",
    "transaction_hash",
    "transaction_index",
    "trace_address",
    "depth",
    "error",
    "gas",
    "gas_cost",
    "op",
    "pc",
    "refund_counter",
    "return_data",
)


def call_rows(chain: Chain, number: int) -> Iterator[tuple[object, ...]]:
    """Yield every call of a block, callers before callees."""
    for transaction in chain.transactions(number):
        yield from _calls(root_of(chain, transaction), transaction, "")


def count_rows(chain: Chain, number: int) -> Iterator[tuple[object, ...]]:
    """Yield the number of calls by selector and size of the data."""
    transactions = chain.transactions(number)
    counted = (counts for counts in (selector_counts(chain, transaction) for transaction in transactions) if counts)
    for transaction, counts in zip(transactions, counted, strict=False):
        for name in sorted(counts):
            selector, _, size = name.partition("-")
            location = (number, transaction.transaction_index, transaction.hash)
            yield (*location, bytes.fromhex(selector[2:]), int(size), counts[name])


def selector_counts(chain: Chain, transaction: Transaction) -> Counter[str]:
    """Count the calls that have a selector by the keys of geth's 4byteTracer: selector and size of the rest."""
    calls = (call for call in frames(root_of(chain, transaction)) if not call.op.startswith("CREATE"))
    return Counter(
        f"0x{call.input[:SELECTOR_BYTES].hex()}-{len(call.input) - SELECTOR_BYTES}"
        for call in calls
        if len(call.input) >= SELECTOR_BYTES
    )


def opcode_rows(chain: Chain, number: int) -> Iterator[tuple[object, ...]]:
    """Yield every step of a block; the last step of each transaction has the return data."""
    for transaction in chain.transactions(number):
        run = list(flat(steps(chain, transaction)))
        for index, step in enumerate(run):
            returned = root_of(chain, transaction).output if index == len(run) - 1 else None
            yield (
                number,
                transaction.hash,
                transaction.transaction_index,
                "",
                step.depth,
                "out of gas" if step.failed else None,
                step.gas,
                step.cost,
                step.op,
                step.pc,
                step.refund,
                returned,
            )


def _calls(frame: Frame, transaction: Transaction, address: str) -> Iterator[tuple[object, ...]]:
    failed_creation = frame.op.startswith("CREATE") and frame.error is not None
    yield (
        frame.op,
        frame.sender,
        None if failed_creation else frame.to,
        None if frame.op == "STATICCALL" else frame.value,
        frame.gas,
        frame.gas_used,
        frame.input,
        frame.output or None,
        None if frame.error is None else ERRORS[frame.error],
        transaction.block_number,
        transaction.hash,
        transaction.transaction_index,
        address,
    )
    for index, call in enumerate(frame.calls):
        yield from _calls(call, transaction, f"{address} {index}".strip())
