"""What others wrote, read for what it may be worth: no text of theirs is an error of the reader."""

from __future__ import annotations

import json
from typing import Any


def json_object(text: str | bytes) -> dict[str, Any] | None:
    """Return a JSON object; None for any other text, one that is nested past all bounds too."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
