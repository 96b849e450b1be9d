"""The results of the tracing methods, Parity's `trace_*` and geth's `debug_*`, each in its own format."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from harness.fakes.rpc.node import RpcError
from harness.fakes.rpc.render import hexadecimal
from harness.world.parity_traces import CALL_TYPES, Trace, traces
from harness.world.state import Account, AccountState, accounts, root_of
from harness.world.steps import OpcodeStep, flat, steps
from harness.world.tables.geth import ERRORS, selector_counts

if TYPE_CHECKING:
    from harness.world.chain import Chain
    from harness.world.values import Frame, Transaction

_INVALID_PARAMS = -32602
_CACHED_BLOCKS = 2000
_ZERO = bytes(32)


@lru_cache(maxsize=_CACHED_BLOCKS)
def trace_block(chain: Chain, number: int) -> str:
    """Return the result of `trace_block`."""
    block = {"blockNumber": number, "blockHash": hexadecimal(chain.hash(number))}
    return json.dumps([_trace(trace) | block for trace in traces(chain, number)])


def replay_block(chain: Chain, number: int, kinds: list[str]) -> str:
    """Return the result of `trace_replayBlockTransactions` for the trace types `stateDiff` and `vmTrace`."""
    unknown = set(kinds) - {"stateDiff", "vmTrace"}
    if unknown:
        raise RpcError(_INVALID_PARAMS, f"trace types that this fake does not model: {', '.join(sorted(unknown))}")
    return _replay_block(chain, number, state="stateDiff" in kinds, vm="vmTrace" in kinds)


def debug_block(chain: Chain, number: int, options: dict[str, Any]) -> str:
    """Return the result of `debug_traceBlockByNumber` for a built-in tracer of geth, or without one (opcodes)."""
    if number == 0 and chain.quirks.debug_refuses_genesis:
        raise RpcError(-32000, "genesis is not traceable")
    tracer = options.get("tracer")
    diff = bool((options.get("tracerConfig") or {}).get("diffMode"))
    if tracer not in {None, "callTracer", "prestateTracer", "4byteTracer"}:
        raise RpcError(_INVALID_PARAMS, f"a tracer that this fake does not model: {str(tracer)[:40]}")
    return _debug_block(chain, number, tracer, diff=diff)


@lru_cache(maxsize=_CACHED_BLOCKS)
def _replay_block(chain: Chain, number: int, *, state: bool, vm: bool) -> str:
    return json.dumps(
        [
            {
                "output": hexadecimal(root_of(chain, transaction).output),
                "stateDiff": _state_diff(chain, transaction) if state else None,
                "trace": [],
                "vmTrace": _vm_trace(steps(chain, transaction)) if vm else None,
                "transactionHash": hexadecimal(transaction.hash),
            }
            for transaction in chain.transactions(number)
        ]
    )


@lru_cache(maxsize=_CACHED_BLOCKS)
def _debug_block(chain: Chain, number: int, tracer: str | None, *, diff: bool) -> str:
    def result(transaction: Transaction) -> dict[str, Any]:
        match tracer:
            case "callTracer":
                return _call(root_of(chain, transaction))
            case "prestateTracer":
                return _diff(chain, transaction) if diff else _prestate(chain, transaction)
            case "4byteTracer":
                return dict(selector_counts(chain, transaction))
        return _opcodes(chain, transaction)

    return json.dumps(
        [
            {"txHash": hexadecimal(transaction.hash), "result": result(transaction)}
            for transaction in chain.transactions(number)
        ]
    )


def _trace(trace: Trace) -> dict[str, Any]:
    frame, kind = trace.frame, trace.kind
    if frame is None or trace.transaction is None:
        action = {"author": hexadecimal(trace.author), "rewardType": "block", "value": hex(trace.reward)}
        return {"action": action, "result": None, "subtraces": 0, "traceAddress": [], "type": kind}
    location = {
        "subtraces": len(frame.calls),
        "traceAddress": list(trace.trace_address),
        "transactionHash": hexadecimal(trace.transaction.hash),
        "transactionPosition": trace.transaction.transaction_index,
        "type": kind,
    }
    if trace.error is not None:
        return location | {"action": _action(frame, kind), "error": trace.error}
    return location | {"action": _action(frame, kind), "result": _result(frame, kind)}


def _action(frame: Frame, kind: str) -> dict[str, Any]:
    if kind == "suicide":
        beneficiary = hexadecimal(frame.to or b"")
        return {"address": hexadecimal(frame.sender), "refundAddress": beneficiary, "balance": hex(frame.value)}
    shared = {"from": hexadecimal(frame.sender), "value": hex(frame.value), "gas": hex(frame.gas)}
    if kind == "create":
        return shared | {"init": hexadecimal(frame.input)}
    call = {"to": hexadecimal(frame.to or b""), "input": hexadecimal(frame.input), "callType": CALL_TYPES[frame.op]}
    return shared | call


def _result(frame: Frame, kind: str) -> dict[str, Any] | None:
    if kind == "suicide":
        return None
    used = {"gasUsed": hex(frame.gas_used)}
    if kind == "create":
        return used | {"address": hexadecimal(frame.to or b""), "code": hexadecimal(frame.output)}
    return used | {"output": hexadecimal(frame.output)}


def _state_diff(chain: Chain, transaction: Transaction) -> dict[str, Any]:
    return {
        hexadecimal(account.address): _parity_account(account)
        for account in accounts(chain, transaction)
        if account.changed
    }


def _parity_account(account: Account) -> dict[str, Any]:
    before, after = account.before, account.after

    def change(old: str | None, new: str | None) -> Any:
        if before is None:
            return {"+": new}
        if after is None:
            return {"-": old}
        return "=" if old == new else {"*": {"from": old, "to": new}}

    slots = {slot for state in (before, after) if state is not None for slot, _ in state.storage}
    old, new = (dict(state.storage) if state is not None else {} for state in (before, after))
    ends = {slot: (old.get(slot, _ZERO), new.get(slot, _ZERO)) for slot in sorted(slots)}
    storage = {
        hexadecimal(slot): change(hexadecimal(first), hexadecimal(last))
        for slot, (first, last) in ends.items()
        if first != last
    }
    return {
        "balance": change(before and hex(before.balance), after and hex(after.balance)),
        "nonce": change(before and hex(before.nonce), after and hex(after.nonce)),
        "code": change(before and hexadecimal(before.code), after and hexadecimal(after.code)),
        "storage": storage,
    }


def _vm_trace(run: tuple[OpcodeStep, ...]) -> dict[str, Any]:
    return {
        "code": "0x",
        "ops": [
            {
                "pc": step.pc,
                "op": step.op,
                "cost": step.cost,
                "ex": None
                if step.failed
                else {"used": step.gas - step.cost, "push": [hex(step.pc)], "mem": None, "store": None},
                "sub": _vm_trace(step.inner) if step.inner else None,
                "idx": None,
            }
            for step in run
        ],
    }


def _call(frame: Frame) -> dict[str, Any]:
    """Return a call in the format of geth's callTracer, which omits absent fields."""
    fields: dict[str, Any] = {
        "type": frame.op,
        "from": hexadecimal(frame.sender),
        "gas": hex(frame.gas),
        "gasUsed": hex(frame.gas_used),
        "input": hexadecimal(frame.input),
    }
    if frame.to is not None and not (frame.op.startswith("CREATE") and frame.error is not None):
        fields["to"] = hexadecimal(frame.to)
    if frame.op != "STATICCALL":
        fields["value"] = hex(frame.value)
    if frame.output:
        fields["output"] = hexadecimal(frame.output)
    if frame.error is not None:
        fields["error"] = ERRORS[frame.error]
    if frame.calls:
        fields["calls"] = [_call(call) for call in frame.calls]
    return fields


def _prestate(chain: Chain, transaction: Transaction) -> dict[str, Any]:
    return {
        hexadecimal(account.address): _geth_account(account.before, {slot for slot, _ in account.before.storage})
        for account in accounts(chain, transaction)
        if account.before is not None
    }


def _diff(chain: Chain, transaction: Transaction) -> dict[str, Any]:
    """Return geth's diff: complete accounts before, only changed fields after."""
    pre, post = {}, {}
    for account in accounts(chain, transaction):
        if not account.changed:
            continue
        before, after = account.before, account.after
        old, new = (dict(state.storage) if state is not None else {} for state in (before, after))
        changed = {slot for slot in old.keys() | new.keys() if old.get(slot, _ZERO) != new.get(slot, _ZERO)}
        address = hexadecimal(account.address)
        if before is not None:
            pre[address] = _geth_account(before, {slot for slot in changed if old.get(slot, _ZERO) != _ZERO})
        if after is not None:
            shown = _geth_account(after, {slot for slot in changed if new.get(slot, _ZERO) != _ZERO})
            if before is not None:
                same = _geth_account(before, set())
                shown = {name: value for name, value in shown.items() if same.get(name) != value}
            post[address] = shown
    return {"pre": pre, "post": post}


def _geth_account(state: AccountState, slots: set[bytes]) -> dict[str, Any]:
    fields: dict[str, Any] = {"balance": hex(state.balance)}
    if state.nonce:
        fields["nonce"] = state.nonce
    if state.code:
        fields["code"] = hexadecimal(state.code)
    if slots:
        fields["storage"] = {hexadecimal(slot): hexadecimal(value) for slot, value in state.storage if slot in slots}
    return fields


def _opcodes(chain: Chain, transaction: Transaction) -> dict[str, Any]:
    logs: list[dict[str, Any]] = []
    for step in flat(steps(chain, transaction)):
        log: dict[str, Any] = {"pc": step.pc, "op": step.op, "gas": step.gas, "gasCost": step.cost}
        log |= {"depth": step.depth, "refund": step.refund}
        if step.failed:
            log["error"] = "out of gas"
        logs.append(log)
    returned = root_of(chain, transaction).output
    outcome = {"failed": not transaction.success, "gas": transaction.gas_used, "returnValue": hexadecimal(returned)}
    return outcome | {"structLogs": logs}
