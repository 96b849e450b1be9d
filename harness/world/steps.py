"""The opcodes of each call: short invented programs with the format, nesting and gas accounting of real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from harness.world.state import root_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.world.chain import Chain
    from harness.world.values import Frame, Transaction

_PROLOGUE = (("PUSH1", 2, 3), ("PUSH1", 2, 3), ("MSTORE", 1, 12), ("CALLVALUE", 1, 2))
_FILL = (
    ("CALLER", 1, 2),
    ("ADD", 1, 3),
    ("SLOAD", 1, 2100),
    ("PUSH2", 3, 3),
    ("DUP1", 1, 3),
    ("SWAP1", 1, 3),
    ("ISZERO", 1, 3),
    ("PUSH4", 5, 3),
    ("SSTORE", 1, 2900),
    ("JUMPDEST", 1, 1),
    ("CALLDATALOAD", 1, 3),
    ("EQ", 1, 3),
    ("POP", 1, 2),
)
"""(name, bytes in the code, gas), from appendix H of the yellow paper."""

_FILLERS = 5


class OpcodeStep(NamedTuple):
    """One opcode: `gas` is the gas left before it, `inner` the steps of the call that it made."""

    pc: int
    op: str
    gas: int
    cost: int
    depth: int
    refund: int
    failed: bool
    inner: tuple[OpcodeStep, ...]


def steps(chain: Chain, transaction: Transaction) -> tuple[OpcodeStep, ...]:
    """Return the steps of a transaction's outermost call, none if it ran no code."""
    return _run(chain, root_of(chain, transaction), transaction.random_bytes, 1)


def flat(run: tuple[OpcodeStep, ...]) -> Iterator[OpcodeStep]:
    """Yield steps in the order of execution, those of inner calls after the step that made the call."""
    for step in run:
        yield step
        yield from flat(step.inner)


def _run(chain: Chain, frame: Frame, random_bytes: bytes, depth: int) -> tuple[OpcodeStep, ...]:
    """Invent the steps of one call; its depth selects some of them."""
    runs_code = frame.calls or frame.op != "CALL" or frame.to in chain.actors.contracts
    if not runs_code or frame.op == "SELFDESTRUCT":
        return ()
    fill = tuple(_FILL[byte % len(_FILL)] for byte in random_bytes[46 + depth : 46 + depth + _FILLERS])
    calls = {len(_PROLOGUE) + _FILLERS + index: call for index, call in enumerate(frame.calls)}
    program = (*_PROLOGUE, *fill, *((call.op, 1, 700) for call in frame.calls), _ending(frame))
    pc, gas, refund = 0, frame.gas, 0
    run = []
    for index, (op, size, cost) in enumerate(program):
        cost_here = min(cost, gas)
        refund += 4800 if op == "SSTORE" else 0
        inner = _run(chain, calls[index], random_bytes, depth + 1) if index in calls else ()
        failed = frame.error == "out of gas" and index == len(program) - 1
        run.append(OpcodeStep(pc, op, gas, cost_here, depth, refund, failed, inner))
        pc += size
        gas -= cost_here
    return tuple(run)


def _ending(frame: Frame) -> tuple[str, int, int]:
    if frame.error == "revert":
        return "REVERT", 1, 0
    return ("RETURN", 1, 0) if frame.output else ("STOP", 1, 0)
