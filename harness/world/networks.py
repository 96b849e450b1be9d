"""The names that Cryo 0.3.2 gives chains, the first part of its file names."""

from __future__ import annotations

import json
from functools import cache

from harness.resources import fixtures


@cache
def _names() -> dict[str, str]:
    path = fixtures() / "golden" / "cryo_schemas.json"
    names: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))["meta"]["network_names"]
    return names


def network_name(chain_id: int) -> str:
    """Return Cryo's name of a chain; what it does not know is `network_<id>`."""
    return _names().get(str(chain_id), f"network_{chain_id}")
