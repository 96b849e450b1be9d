"""Write harness/checks/clauses.json from the contract: `python scripts/clauses.py CONTRACT.md`.

The chapter on the node's answers (RPC-1 to RPC-4) is excluded until the project has checks for it.
"""

import json
import re
import sys
from pathlib import Path

NOT_YET_CHECKED = "RPC-"
TARGET = Path(__file__).resolve().parents[1] / "harness" / "checks" / "clauses.json"

clauses = {
    match[1]: {"source": match[2], "text": match[3]}
    for match in re.finditer(
        r"^\| ([A-Z]+-\d+) \| ([SW+]) \| (.*) \|$", Path(sys.argv[1]).read_text("utf-8"), re.MULTILINE
    )
    if not match[1].startswith(NOT_YET_CHECKED)
}
TARGET.write_text(json.dumps(clauses, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
print(f"{len(clauses)} clauses")
