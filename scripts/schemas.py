"""Write the JSON Schemas of the harness's formats from their models: `python scripts/schemas.py`."""

import json
from pathlib import Path

from harness import history, scenario
from harness.report import document
from harness.targets import file

FOLDER = Path(__file__).parents[1] / "harness" / "schemas"

SCHEMAS = {
    "history": history.schema(),
    "scenario": scenario.schema(),
    "report": document.schema(),
    "target": file.schema(),
}
for name, schema in SCHEMAS.items():
    (FOLDER / f"{name}.json").write_text(json.dumps(schema, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
