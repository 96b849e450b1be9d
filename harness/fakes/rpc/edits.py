"""Edits of a true result; the actions themselves are in harness.faults.rpc."""

from __future__ import annotations

import json
from typing import Any

from harness.faults.rpc import Edit, Items, Result


def edited(result: str, action: Edit) -> str:
    """Return a rendered result with an edit applied."""
    if isinstance(action, Result):
        return json.dumps(action.value)
    value = json.loads(result)
    if isinstance(action, Items):
        return json.dumps(_items(value, action))
    target = value[action.within] if action.within is not None else value
    for item in target if isinstance(target, list) else [target]:
        item.update(action.values)
        for name in action.drop:
            item.pop(name, None)
    return json.dumps(value)


def _items(value: list[Any], action: Items) -> list[Any]:
    if action.first is not None:
        value = value[: action.first]
    if action.without_every is not None:
        value = [item for index, item in enumerate(value, start=1) if index % action.without_every]
    if action.without_transaction is not None:
        names = list(dict.fromkeys(filter(None, map(_transaction_of, value))))
        lost = names[action.without_transaction : action.without_transaction + 1]
        value = [item for item in value if _transaction_of(item) not in lost]
    return value[::-1] if action.reverse else value


def _transaction_of(item: dict[str, Any]) -> str | None:
    """Return the transaction hash of an item, which geth's tracers call `txHash`."""
    transaction_hash: str | None = item.get("transactionHash", item.get("txHash"))
    return transaction_hash
