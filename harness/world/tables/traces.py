"""The datasets of `trace_block`: `traces`, `native_transfers`, `contracts`.

Two bugs of Cryo 0.3.2 are reproduced: in `native_transfers` the recipient of a failed creation is 32 zero bytes, and
in `contracts` the hashes of init code and code are swapped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.world.bloom import keccak256
from harness.world.parity_traces import Trace, traces
from harness.world.values import ZERO_ADDRESS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.world.chain import Chain

TRACE_FIELDS = (
    "action_from",
    "action_to",
    "action_value",
    "action_gas",
    "action_input",
    "action_call_type",
    "action_init",
    "action_reward_type",
    "action_type",
    "result_gas_used",
    "result_output",
    "result_code",
    "result_address",
    "trace_address",
    "subtraces",
    "transaction_index",
    "transaction_hash",
    "block_number",
    "block_hash",
    "error",
)
NATIVE_TRANSFER_FIELDS = (
    "block_number",
    "block_hash",
    "transaction_index",
    "transfer_index",
    "transaction_hash",
    "from_address",
    "to_address",
    "value",
)
CONTRACT_FIELDS = (
    "block_number",
    "block_hash",
    "create_index",
    "transaction_hash",
    "contract_address",
    "deployer",
    "factory",
    "init_code",
    "code",
    "init_code_hash",
    "n_init_code_bytes",
    "n_code_bytes",
    "code_hash",
)

_CALL_TYPES = {"CALL": "call", "CALLCODE": "call_code", "DELEGATECALL": "delegate_call", "STATICCALL": "static_call"}
_NO_RECIPIENT = bytes(32)


def trace_rows(chain: Chain, number: int) -> Iterator[tuple[object, ...]]:
    """Yield a block's traces; rewards come first, since Cryo sorts rows without a transaction first."""
    block_hash = chain.hash(number)
    for trace in _sorted(chain, number):
        subtraces = len(trace.frame.calls) if trace.frame else 0
        yield (
            *_action(trace),
            trace.kind,
            *_result(trace),
            "_".join(map(str, trace.trace_address)),
            subtraces,
            *_transaction(trace),
            number,
            block_hash,
            trace.error,
        )


def native_transfer_rows(chain: Chain, number: int) -> Iterator[tuple[object, ...]]:
    """Yield sender, recipient and value of every trace, also if the value is zero."""
    block_hash = chain.hash(number)
    order = {id(trace): index for index, trace in enumerate(traces(chain, number))}
    for trace in _sorted(chain, number):
        index, transaction_hash = _transaction(trace)
        frame = trace.frame
        if frame is None:
            parties: tuple[object, ...] = (ZERO_ADDRESS, trace.author, trace.reward)
        else:
            failed = trace.kind == "create" and frame.error is not None
            parties = (frame.sender, _NO_RECIPIENT if failed else frame.to, frame.value)
        yield (number, block_hash, index, order[id(trace)], transaction_hash, *parties)


def contract_rows(chain: Chain, number: int) -> Iterator[tuple[object, ...]]:
    """Yield the contracts that were created, with the transaction's sender and the address that created them."""
    block_hash, deployer, index = chain.hash(number), b"", 0
    for trace in traces(chain, number):
        if trace.frame is None or trace.transaction is None:
            continue
        frame = trace.frame
        if not trace.trace_address:
            deployer = frame.sender
        if trace.kind != "create" or frame.error is not None:
            continue
        creation = (index, trace.transaction.hash, frame.to, deployer, frame.sender, frame.input, frame.output)
        sizes = (len(frame.input), len(frame.output))
        yield (number, block_hash, *creation, keccak256(frame.output), *sizes, keccak256(frame.input))
        index += 1


def _sorted(chain: Chain, number: int) -> list[Trace]:
    return sorted(traces(chain, number), key=lambda trace: trace.transaction is not None)


def _transaction(trace: Trace) -> tuple[object, object]:
    if trace.transaction is None:
        return None, None
    return trace.transaction.transaction_index, trace.transaction.hash


def _action(trace: Trace) -> tuple[object, ...]:
    """Return from, to, value, gas, input, call type, init, reward type."""
    frame = trace.frame
    if frame is None:
        return (trace.author, None, str(trace.reward), None, None, None, None, "reward")
    if trace.kind == "suicide":
        return (frame.sender, frame.to, str(frame.value), None, None, None, None, None)
    if trace.kind == "create":
        return (frame.sender, None, str(frame.value), frame.gas, None, None, frame.input, None)
    return (frame.sender, frame.to, str(frame.value), frame.gas, frame.input, _CALL_TYPES[frame.op], None, None)


def _result(trace: Trace) -> tuple[object, ...]:
    """Return gas used, output, code, address; all None for a failed trace and for one without a result."""
    frame = trace.frame
    if frame is None or frame.error is not None or trace.kind == "suicide":
        return (None, None, None, None)
    if trace.kind == "create":
        return (frame.gas_used, None, frame.output, frame.to)
    return (frame.gas_used, frame.output, None, None)
