"""Check that the required tests ran: `python .ci/evidence.py REQUIRED EVIDENCE`.

A run without container tests or without real Cryo must not pass.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def shortfalls(required: dict[str, Any], evidence: dict[str, Any]) -> list[str]:
    """Return what is missing; an empty list means that all required tests ran, with the real binary."""
    missing = [
        f"{evidence['passed'].get(marker, 0)} tests marked {marker} passed, {least} are required"
        for marker, least in required["passed"].items()
        if evidence["passed"].get(marker, 0) < least
    ]
    if evidence["cryo_sha256"] != [required["cryo_sha256"]]:
        missing.append(f"real Cryo has SHA-256 {required['cryo_sha256']}, the tests ran {evidence['cryo_sha256']}")
    return missing


if __name__ == "__main__":
    contents = [json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:3]]
    lines = shortfalls(*contents)
    print("\n".join(lines) or f"run: {contents[1]['passed']}, real Cryo {contents[0]['cryo_sha256'][:16]}…")
    sys.exit(bool(lines))
