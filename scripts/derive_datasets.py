"""Derive `cryo_ingest/datasets.json` from the measured schemas: `python scripts/derive_datasets.py` prints it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "fixtures" / "golden" / "cryo_schemas.json"

UNMEASURED_REQUIREMENTS = {"javascript_traces": ["js_tracer"]}
"""PAY-4: without `--js-tracer` the dataset has no meaningful content, although Cryo does not require it."""


LEVELS = ["rows", "chain", "receipts"]
BY_RECEIPTS = ("transactions", "logs", "erc20_transfers", "erc721_transfers")
BY_CHAIN = ("blocks", *BY_RECEIPTS, "traces", "geth_calls")
"""The datasets that receipts or headers can confirm; all others are proved only by rows (RNG-4)."""


def derive(measured: dict[str, Any]) -> dict[str, Any]:
    """Return the measured facts that the worker uses, for each dataset."""
    row_per_block = set(measured["meta"]["datasets_that_always_have_a_row_per_block"])
    return {
        "source": f"{measured['meta']['cryo_version']}; derived by scripts/derive_datasets.py",
        "datasets": {
            name: {
                "group": facts["group"],
                "aliases": facts["aliases"],
                "requires": UNMEASURED_REQUIREMENTS.get(name, facts["required_params"]),
                "row_per_block": name in row_per_block,
                "sort": facts["default_sort"],
                "columns": [[column["name"], column["arrow"]] for column in facts["default_columns"]],
                "methods": list(facts["rpc_methods_by_block"]),
                "levels": LEVELS[: 1 + (name in BY_CHAIN) + (name in BY_RECEIPTS)],
            }
            for name, facts in sorted(measured["datasets"].items())
        },
    }


if __name__ == "__main__":
    print(json.dumps(derive(json.loads(SOURCE.read_text(encoding="utf-8"))), indent=1))
