"""Changes the correct result of a call as a fault requires; harness.faults.rpc defines the faults."""

from __future__ import annotations

import json
from typing import Any

from harness.faults.rpc import Edit, Items, Result


def apply_edit(result_json: str, edit: Edit) -> str:
    """Return the JSON of a result with an edit applied."""
    if isinstance(edit, Result):
        return json.dumps(edit.value)
    value = json.loads(result_json)
    if isinstance(edit, Items):
        return json.dumps(_edit_items(value, edit))
    target = value[edit.within] if edit.within is not None else value
    for item in target if isinstance(target, list) else [target]:
        item.update(edit.values)
        for name in edit.drop:
            item.pop(name, None)
    return json.dumps(value)


def _edit_items(value: list[Any], edit: Items) -> list[Any]:
    if edit.first is not None:
        value = value[: edit.first]
    if edit.without_every is not None:
        value = [item for index, item in enumerate(value, start=1) if index % edit.without_every]
    if edit.without_transaction is not None:
        transaction_hashes = list(dict.fromkeys(filter(None, map(_transaction_of, value))))
        removed = transaction_hashes[edit.without_transaction : edit.without_transaction + 1]
        value = [item for item in value if _transaction_of(item) not in removed]
    return value[::-1] if edit.reverse else value


def _transaction_of(item: dict[str, Any]) -> str | None:
    """Return the transaction hash of an item, which geth's tracers call `txHash`."""
    transaction_hash: str | None = item.get("transactionHash", item.get("txHash"))
    return transaction_hash
